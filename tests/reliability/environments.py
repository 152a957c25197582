"""Environments in which something goes wrong once, for one seed or worker: `reliability.environments:Troubled-v0`."""

import os
import pathlib
import signal
import time
from typing import ClassVar

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from steepest.core.spaces import Box, Discrete
from steepest.envs.environment import AbstractEnvironment

TROUBLED = "reliability.environments:Troubled-v0"
TROUBLES = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "hanging": lambda: time.sleep(10**6),
    "raising": lambda: [][0],
}
"""What happens to the process that plays; "diverging" is a reward whose square is infinite."""


class Troubled(gymnasium.Env):
    """Comes into trouble in one of its steps, in the first process that comes so far and in no other.

    **Arguments**

    - `trouble`: which.
    - `mark`: a file that says that it has happened, and in which process.
    - `after`: the step.
    """

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, trouble, mark, after=40):
        self.trouble, self.mark, self.left = trouble, pathlib.Path(mark), after
        self.later = self.mark.exists()

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.time, self.left = self.time + 1, self.left - 1
        reward = -float(action[0] ** 2)
        if self.left == 0 and self._first():
            if self.trouble == "diverging":
                reward = 3e38
            else:
                TROUBLES[self.trouble]()
        elif self.left < 0 and not self.later:
            time.sleep(0.015)  # so that there is a time in which the others could be stopped
        return np.zeros(2, np.float32), reward, False, self.time == 5, {}

    def _first(self):
        try:
            with self.mark.open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return False
        return True


gymnasium.register("Troubled-v0", Troubled)


class Treacherous(AbstractEnvironment):
    """Reward 1 in every step of five, and no number in one of so many episodes."""

    id: ClassVar[str] = "Treacherous"
    max_episode_steps: ClassVar[int | None] = 5
    share: float = 0.005

    @property
    def observation_space(self):
        return Box(-1.0, 1.0, (1,))

    @property
    def action_space(self):
        return Discrete(2)

    def initial(self, key):
        return jax.random.uniform(key)

    def observe(self, state):
        return jnp.zeros(1)

    def step(self, key, state, action):
        return state, jnp.where(state < self.share, jnp.nan, 1.0), jnp.zeros((), bool)
