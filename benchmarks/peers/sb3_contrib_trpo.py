"""Sb3-contrib's TRPO on CartPole; `sb3_serving.py` says how it is called."""

# pyright: reportMissingImports=false
from sb3_contrib import TRPO
from sb3_serving import begin, layers, serve_training
from stable_baselines3.common.env_util import make_vec_env

settings = begin()
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
    policy_kwargs=layers(settings),
    device="cpu",
    seed=0,
)
serve_training(model, settings["num_envs"] * settings["segment_length"], "sb3-contrib")
