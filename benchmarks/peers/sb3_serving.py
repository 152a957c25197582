"""What the scripts that train with Stable-Baselines3 share: how they are called, and how they answer.

A script is called with SETTINGS SECONDS THREADS, where SETTINGS is JSON and 0 threads leaves PyTorch's default; it
speaks as `harness.py` describes.
"""

# pyright: reportMissingImports=false
import importlib.metadata
import json
import sys

import torch
from harness import rate, serve

ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}


def begin() -> dict:
    """The settings; PyTorch gets its threads."""
    threads = int(sys.argv[3])
    if threads:
        torch.set_num_threads(threads)
    return json.loads(sys.argv[1])


def ppo(settings: dict) -> dict:
    """The arguments that PPO and its relatives have in common."""
    return {
        "n_steps": settings["segment_length"],
        "batch_size": settings["minibatch_size"],
        "n_epochs": settings["epochs"],
        "learning_rate": settings["learning_rate"],
        "gamma": settings["discount"],
        "gae_lambda": settings["gae_lambda"],
        "clip_range": settings["clip_radius"],
        "ent_coef": settings["entropy_bonus"],
        "max_grad_norm": settings["clip_global_norm"],
        "device": "cpu",
        "seed": 0,
    }


def layers(settings: dict) -> dict:
    """Hidden layers of their own for policy and value."""
    hidden = settings["hidden"]
    return {"net_arch": {"pi": hidden, "vf": hidden}, "activation_fn": ACTIVATIONS[settings["activation"]]}


def serve_training(model, steps: int, *libraries: str, warm_up_steps: int = 0) -> None:
    """Train so many steps at a time, and answer with how many there are in a second.

    - `libraries`: whose versions are told, beside Stable-Baselines3, PyTorch and Gymnasium.
    - `warm_up_steps`: taken before anything is measured.
    """
    seconds = float(sys.argv[2])

    def work() -> float:
        before = model.num_timesteps
        model.learn(steps, reset_num_timesteps=False)
        return model.num_timesteps - before

    def measure() -> dict[str, float]:
        return {"steps_per_second": rate(work, seconds)}

    work()
    while model.num_timesteps <= warm_up_steps:
        work()
    names = (*libraries, "stable-baselines3", "torch", "gymnasium")
    versions = {name: importlib.metadata.version(name) for name in names}
    serve({"versions": versions, "compile_seconds": None}, measure)
