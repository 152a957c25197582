"""Stable-Baselines3's DDPG on Pendulum.

Usage: `sb3_ddpg.py SETTINGS SECONDS THREADS`, where SETTINGS is JSON and 0 threads leaves PyTorch's default; it speaks
as `harness.py` describes. Steps are gradient steps too, one for each.
"""

# pyright: reportMissingImports=false
import importlib.metadata
import json
import sys

import numpy as np
import torch
from harness import rate, serve
from stable_baselines3 import DDPG
from stable_baselines3.common.noise import NormalActionNoise

STEPS = 100
"""In one call of `learn`."""

settings, seconds, threads = json.loads(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
if threads:
    torch.set_num_threads(threads)
activation = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[settings["activation"]]
model = DDPG(
    "MlpPolicy",
    settings["env"],
    learning_rate=settings["learning_rate"],
    batch_size=settings["batch_size"],
    learning_starts=settings["warm_up_steps"],
    train_freq=1,
    gradient_steps=1,
    gamma=settings["discount"],
    tau=settings["target_rate"],
    action_noise=NormalActionNoise(np.zeros(1), 0.2 * np.ones(1)),
    policy_kwargs={"net_arch": settings["hidden"], "activation_fn": activation},
    device="cpu",
    seed=0,
)


def work() -> float:
    """Train a little. Returns the steps it took of the environment."""
    steps = model.num_timesteps
    model.learn(STEPS, reset_num_timesteps=False)
    return model.num_timesteps - steps


def measure() -> dict[str, float]:
    """One round of measurements."""
    return {"steps_per_second": rate(work, seconds)}


while model.num_timesteps <= settings["warm_up_steps"]:
    work()
names = ("stable-baselines3", "torch", "gymnasium")
versions = {name: importlib.metadata.version(name) for name in names}
serve({"versions": versions, "compile_seconds": None}, measure)
