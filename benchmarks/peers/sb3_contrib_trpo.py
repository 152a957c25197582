"""Sb3-contrib's TRPO on CartPole.

Usage: `sb3_contrib_trpo.py SETTINGS SECONDS THREADS`, where SETTINGS is JSON and 0 threads leaves PyTorch's default; it
speaks as `harness.py` describes.
"""

# pyright: reportMissingImports=false
import importlib.metadata
import json
import sys

import torch
from harness import rate, serve
from sb3_contrib import TRPO
from stable_baselines3.common.env_util import make_vec_env

settings, seconds, threads = json.loads(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
if threads:
    torch.set_num_threads(threads)
activation = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[settings["activation"]]
model = TRPO(
    "MlpPolicy",
    make_vec_env("CartPole-v1", n_envs=settings["num_envs"], seed=0),  # a DummyVecEnv
    n_steps=settings["segment_length"],
    batch_size=settings["minibatch_size"],
    n_critic_updates=settings["critic_epochs"],
    learning_rate=settings["critic_learning_rate"],
    gamma=settings["discount"],
    gae_lambda=settings["gae_lambda"],
    target_kl=settings["kl_radius"],
    cg_max_steps=settings["cg_iterations"],
    cg_damping=settings["damping"],
    line_search_max_iter=settings["backtracks"],
    line_search_shrinking_factor=settings["shrink"],
    policy_kwargs={"net_arch": {"pi": settings["hidden"], "vf": settings["hidden"]}, "activation_fn": activation},
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
