"""Stable-Baselines3's PPO with its convolutional policy on EnvPool's Pong, which one thread steps.

`sb3_serving.py` says how it is called.
"""

# pyright: reportMissingImports=false
import envpool
import gymnasium
import numpy as np
from sb3_serving import begin, ppo, serve_training
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv


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


settings = begin()
model = PPO("CnnPolicy", Pool(settings["env"], settings["num_envs"]), **ppo(settings))
serve_training(model, settings["num_envs"] * settings["segment_length"], "envpool")
