"""Rejax's compiled PPO on CartPole, one XLA thread, as fast as it goes: no evaluation, no logging.

Usage: `rejax_cartpole.py SETTINGS SECONDS`, where SETTINGS is JSON; it speaks as `harness.py` describes.
"""

# pyright: reportMissingImports=false
import importlib.metadata
import json
import os
import sys
import time

os.environ["NPROC"] = "1"  # read when XLA's CPU client starts: one thread

import jax
from harness import rate, serve
from rejax import PPO

UPDATES = 25
"""In one call of the compiled program."""

settings, seconds = json.loads(sys.argv[1]), float(sys.argv[2])
rows = settings["num_envs"] * settings["segment_length"]
minibatches = rows // settings["minibatch_size"]
algorithm = PPO.create(
    env="CartPole-v1",
    num_envs=settings["num_envs"],
    num_steps=settings["segment_length"],
    num_minibatches=minibatches,
    num_epochs=settings["epochs"],
    learning_rate=settings["learning_rate"],
    gamma=settings["discount"],
    gae_lambda=settings["gae_lambda"],
    clip_eps=settings["clip_radius"],
    ent_coef=settings["entropy_bonus"],
    max_grad_norm=settings["clip_global_norm"],
    agent_kwargs={"activation": settings["activation"], "hidden_layer_sizes": tuple(settings["hidden"])},
    total_timesteps=UPDATES * rows,
    eval_freq=UPDATES * rows,
    skip_initial_evaluation=True,
)
algorithm = algorithm.replace(eval_callback=lambda *_: ())
assert algorithm.minibatch_size == settings["minibatch_size"]

before = time.perf_counter()
state = jax.jit(algorithm.init_state)(jax.random.PRNGKey(0))
advance = jax.jit(lambda state: algorithm.train(train_state=state)[0]).lower(state).compile()
compile_seconds = time.perf_counter() - before


def work() -> float:
    """Train a little. Returns the steps it took of the environment."""
    global state
    state = jax.block_until_ready(advance(state))
    return UPDATES * rows


def measure() -> dict[str, float]:
    """One round of measurements."""
    speed = rate(work, seconds)
    # Both networks must have moved once for every minibatch of every epoch, or this measures something else.
    updates = int(state.global_step) // rows
    for network in (state.actor_ts, state.critic_ts):
        assert int(network.step) == updates * settings["epochs"] * minibatches
    return {"steps_per_second": speed}


work()
versions = {name: importlib.metadata.version(name) for name in ("rejax", "gymnax", "jax")}
serve({"versions": versions, "compile_seconds": compile_seconds}, measure)
