"""Stable-Baselines3's DDPG on Pendulum, a gradient step for each step; `sb3_serving.py` says how it is called."""

# pyright: reportMissingImports=false
import numpy as np
from sb3_serving import ACTIVATIONS, begin, serve_training
from stable_baselines3 import DDPG
from stable_baselines3.common.noise import NormalActionNoise

STEPS = 100
"""In one call of `learn`."""

settings = begin()
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
    policy_kwargs={"net_arch": settings["hidden"], "activation_fn": ACTIVATIONS[settings["activation"]]},
    device="cpu",
    seed=0,
)
serve_training(model, STEPS, warm_up_steps=settings["warm_up_steps"])
