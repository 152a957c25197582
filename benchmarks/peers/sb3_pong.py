"""Stable-Baselines3's PPO with its convolutional policy on EnvPool's Pong, which one thread steps.

Usage: `sb3_pong.py SETTINGS SECONDS THREADS`, where SETTINGS is JSON and 0 threads leaves PyTorch's default; it speaks
as `harness.py` describes.
"""

# pyright: reportMissingImports=false
import importlib.metadata
import json
import sys

import envpool
import gymnasium
import numpy as np
import torch
from harness import rate, serve
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

settings, seconds, threads = json.loads(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
if threads:
    torch.set_num_threads(threads)


class Pool(VecEnv):
    """An EnvPool as SB3 wants its environments. The pool begins an episode on the step after the end of one."""

    def __init__(self, name: str, num_envs: int):
        self._pool = envpool.make_gymnasium(name, num_envs=num_envs, seed=0, num_threads=1)
        pictures = gymnasium.spaces.Box(0, 255, self._pool.observation_space.shape, np.uint8)
        super().__init__(num_envs, pictures, gymnasium.spaces.Discrete(int(self._pool.action_space.n)))

    def reset(self):
        return self._pool.reset()[0]

    def step_async(self, actions):
        self._pool.send(actions)

    def step_wait(self):
        obs, reward, terminated, truncated, _ = self._pool.recv()
        ended = terminated | truncated
        infos = [{"terminal_observation": obs[index]} if ended[index] else {} for index in range(self.num_envs)]
        return obs, reward, ended, infos

    def close(self):
        self._pool.close()

    def get_attr(self, attr_name, indices=None):
        return [None] * self.num_envs

    def set_attr(self, attr_name, value, indices=None):
        raise NotImplementedError

    def env_method(self, method_name, *method_args, indices=None, **method_kwargs):
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False] * self.num_envs


model = PPO(
    "CnnPolicy",
    Pool(settings["env"], settings["num_envs"]),
    n_steps=settings["segment_length"],
    batch_size=settings["minibatch_size"],
    n_epochs=settings["epochs"],
    learning_rate=settings["learning_rate"],
    gamma=settings["discount"],
    gae_lambda=settings["gae_lambda"],
    clip_range=settings["clip_radius"],
    ent_coef=settings["entropy_bonus"],
    max_grad_norm=settings["clip_global_norm"],
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
names = ("stable-baselines3", "torch", "gymnasium", "envpool")
versions = {name: importlib.metadata.version(name) for name in names}
serve({"versions": versions, "compile_seconds": None}, measure)
