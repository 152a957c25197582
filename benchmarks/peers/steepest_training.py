"""An algorithm, as its own driver runs it: one XLA thread, metrics of every update read back.

Usage: `steepest_training.py SETTINGS SECONDS [BACKEND]`, where SETTINGS is JSON and names algorithm and environment
too; it speaks as `harness.py` describes. The backend is `compiled` where none is named.
"""

import importlib.metadata
import json
import sys
import time

from harness import rate, serve

from steepest.algorithms import ALGORITHMS
from steepest.core.spaces import Spec
from steepest.envs.adapters.envpool import EnvPoolEnvironment
from steepest.envs.tasks import resolve
from steepest.training.compiled import CompiledTraining
from steepest.training.driver import AbstractTraining
from steepest.training.host import HostTraining

UPDATES = 1_000_000
"""As many as schedules are told of; a ring of transitions is laid out for no more."""
ENDLESS = 2**31 - 1

settings, seconds = json.loads(sys.argv[1]), float(sys.argv[2])
backend = sys.argv[3] if len(sys.argv) > 3 else "compiled"
settings["hidden"] = tuple(settings["hidden"])
task = resolve(settings.pop("env"), backend)
parameters = ALGORITHMS[settings.pop("algorithm")](**settings)
streams = parameters.num_streams(task.observation_space, task.action_space)
spec = Spec(task.observation_space, task.action_space, streams, total_updates=UPDATES)
groups = []
if (
    backend == "envpool"
):  # one thread, as the other libraries have it, and not two pools with as many as there are cores
    groups = [EnvPoolEnvironment(task.id, num_envs=streams, seed=0, threads=1)]
elif task.env is None:
    groups = task.groups(streams, seed=0)

before = time.perf_counter()
algorithm = parameters.build(spec)
training: AbstractTraining
if task.env is not None:
    training = CompiledTraining(algorithm, task.env, seeds=(0,), total_steps=ENDLESS)
else:
    training = HostTraining(algorithm, groups, seed=0, total_steps=ENDLESS)
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
