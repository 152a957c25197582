"""Sb3-contrib's recurrent PPO on CartPole.

Usage: `sb3_contrib_recurrent.py SETTINGS SECONDS THREADS`, where SETTINGS is JSON and 0 threads leaves PyTorch's
default; it speaks as `harness.py` describes.
"""

# pyright: reportMissingImports=false
import importlib.metadata
import json
import sys

import torch
from harness import rate, serve
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.env_util import make_vec_env

settings, seconds, threads = json.loads(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
if threads:
    torch.set_num_threads(threads)
activation = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[settings["activation"]]
model = RecurrentPPO(
    "MlpLstmPolicy",
    make_vec_env("CartPole-v1", n_envs=settings["num_envs"], seed=0),  # a DummyVecEnv
    n_steps=settings["segment_length"],
    batch_size=settings["minibatch_size"],
    n_epochs=settings["epochs"],
    learning_rate=settings["learning_rate"],
    gamma=settings["discount"],
    gae_lambda=settings["gae_lambda"],
    clip_range=settings["clip_radius"],
    ent_coef=settings["entropy_bonus"],
    max_grad_norm=settings["clip_global_norm"],
    policy_kwargs={
        "net_arch": {"pi": settings["hidden"], "vf": settings["hidden"]},
        "activation_fn": activation,
        "lstm_hidden_size": settings["memory_size"],
    },
    device="cpu",
    seed=0,
)


def work() -> float:
    """Train a little. Returns the steps it took of the environment."""
    steps = model.num_timesteps
    model.learn(settings["num_envs"] * settings["segment_length"], reset_num_timesteps=False)
    return model.num_timesteps - steps


def measure() -> dict[str, float]:
    """One round of measurements."""
    return {"steps_per_second": rate(work, seconds)}


work()
names = ("sb3-contrib", "stable-baselines3", "torch", "gymnasium")
versions = {name: importlib.metadata.version(name) for name in names}
serve({"versions": versions, "compile_seconds": None}, measure)
