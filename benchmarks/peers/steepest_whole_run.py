"""A whole training of steepest on EnvPool, and what its last policy returns.

Usage: `steepest_whole_run.py SETTINGS`, where SETTINGS is JSON; `others.py` calls it, and has the settings.
"""

import importlib.metadata
import json
import sys
import tempfile
import time

from harness import serve

import steepest

steepest.configure_platform()
settings = json.loads(sys.argv[1])
before = time.perf_counter()
with tempfile.TemporaryDirectory() as directory:
    steepest.train(
        settings["algorithm"],
        settings["env"],
        backend="envpool",
        total_steps=settings["steps"],
        seed=settings["seed"],
        run_dir=directory,
        evaluation_episodes=0,
        preset=settings["preset"],
        **settings["hyper"],
    )
    seconds = time.perf_counter() - before
    evaluation = steepest.evaluate(directory, episodes=settings["episodes"])
names = ("steepest", "jax", "envpool")
serve(
    {
        "return": evaluation["seeds"][0]["mean_return"],
        "seconds": seconds,
        "versions": {name: importlib.metadata.version(name) for name in names},
    },
    dict,
)
