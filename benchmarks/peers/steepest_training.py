"""A compiled algorithm, as its own driver runs it: one XLA thread, metrics of every update read back.

Usage: `steepest_training.py SETTINGS SECONDS`, where SETTINGS is JSON and names algorithm and environment too; it
speaks as `harness.py` describes.
"""

import importlib.metadata
import json
import sys
import time

from harness import rate, serve

from steepest.algorithms import ALGORITHMS
from steepest.core.spaces import Spec
from steepest.envs import compiled
from steepest.training.compiled import CompiledTraining

UPDATES = 1_000_000
"""As many as schedules are told of; a ring of transitions is laid out for no more."""

settings, seconds = json.loads(sys.argv[1]), float(sys.argv[2])
settings["hidden"] = tuple(settings["hidden"])
env = compiled(settings.pop("env"))
assert env is not None
parameters = ALGORITHMS[settings.pop("algorithm")](**settings)
streams = parameters.num_streams(env.observation_space, env.action_space)
spec = Spec(env.observation_space, env.action_space, streams, total_updates=UPDATES)

before = time.perf_counter()
training = CompiledTraining(parameters.build(spec), env, seeds=(0,), total_steps=2**31 - 1)
training.advance(0)  # compiles, and makes one update
compile_seconds = time.perf_counter() - before


def work() -> float:
    """Train a little. Returns the steps it took of the environment."""
    steps = training.steps
    training.advance(0.5)
    return training.steps - steps


def measure() -> dict[str, float]:
    """One round of measurements."""
    return {"steps_per_second": rate(work, seconds)}


for _ in range(3):  # the driver finds out how many updates fill its time
    work()
versions = {name: importlib.metadata.version(name) for name in ("steepest", "jax")}
serve({"versions": versions, "compile_seconds": compile_seconds}, measure)
