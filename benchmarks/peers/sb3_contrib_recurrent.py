"""Sb3-contrib's recurrent PPO on CartPole; `sb3_serving.py` says how it is called."""

# pyright: reportMissingImports=false
from sb3_contrib import RecurrentPPO
from sb3_serving import begin, layers, ppo, serve_training
from stable_baselines3.common.env_util import make_vec_env

settings = begin()
env = make_vec_env("CartPole-v1", n_envs=settings["num_envs"], seed=0)  # a DummyVecEnv
described = layers(settings) | {"lstm_hidden_size": settings["memory_size"]}
model = RecurrentPPO("MlpLstmPolicy", env, **ppo(settings), policy_kwargs=described)
serve_training(model, settings["num_envs"] * settings["segment_length"], "sb3-contrib")
