"""A whole training of Stable-Baselines3 or sb3-contrib on one of Gymnasium's tasks, and what its last policy returns.

Usage: `sb3_whole_run.py SETTINGS`, where SETTINGS is JSON; `others.py` calls it, and has the settings. Environments are
made as RL Zoo makes them: a DummyVecEnv under a VecNormalize that knows the discount.
"""

# pyright: reportMissingImports=false
import importlib.metadata
import json
import sys
import time

import torch
from harness import serve
from sb3_contrib import TRPO
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

settings = json.loads(sys.argv[1])
hyper = settings["hyper"]
num_envs, network = hyper.pop("n_envs"), hyper.pop("policy_kwargs", {})
if "activation_fn" in network:
    network["activation_fn"] = getattr(torch.nn, network["activation_fn"])

torch.set_num_threads(1)  # it has one processor
before = time.perf_counter()
envs = VecNormalize(make_vec_env(settings["env"], n_envs=num_envs, seed=settings["seed"]), gamma=hyper["gamma"])
learner = {"ppo": PPO, "trpo": TRPO}[settings["algorithm"]]
model = learner("MlpPolicy", envs, seed=settings["seed"], device="cpu", policy_kwargs=network, **hyper)
model.learn(settings["steps"])
seconds = time.perf_counter() - before

envs.training, envs.norm_reward = False, False
envs.seed(1_000_000 + settings["seed"])
returns, _ = evaluate_policy(model, envs, settings["episodes"], deterministic=True, return_episode_rewards=True)
names = ("stable-baselines3", "sb3-contrib", "torch", "gymnasium", "mujoco")
serve(
    {
        "return": sum(returns) / len(returns),
        "seconds": seconds,
        "versions": {name: importlib.metadata.version(name) for name in names},
    },
    dict,
)
