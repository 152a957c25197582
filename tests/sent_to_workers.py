"""What tests send to other processes: each of them imports this file."""

import os
import pathlib

import gymnasium
import numpy as np


class Mortal(gymnasium.Env):
    """Ends its whole process in the third step, the first time that it is played anywhere."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, mark):
        self.mark = pathlib.Path(mark)

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.time += 1
        if self.time == 3 and not self.mark.exists():
            self.mark.touch()
            os._exit(3)
        return np.zeros(2, np.float32), -float(action[0] ** 2), False, self.time == 5, {}


class Broken(Mortal):
    """Raises."""

    def step(self, action):
        raise KeyError("lost")


class Threads:
    """Says how many threads XLA's client has in its process."""

    def answer(self):
        import jax

        from steepest._platform import _pool_size, configure_platform

        configure_platform()

        jax.block_until_ready(jax.numpy.ones(3) + 1)
        return _pool_size()
