"""Stable-Baselines3's PPO on CartPole; `sb3_serving.py` says how it is called."""

# pyright: reportMissingImports=false
from sb3_serving import begin, layers, ppo, serve_training
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

UPDATES = 4
"""In one call of `learn`."""

settings = begin()
env = make_vec_env("CartPole-v1", n_envs=settings["num_envs"], seed=0)  # a DummyVecEnv
model = PPO("MlpPolicy", env, **ppo(settings), policy_kwargs=layers(settings))
serve_training(model, UPDATES * settings["num_envs"] * settings["segment_length"])
