"""Vector environments on the host whose episodes begin anew in one of the two ways there are."""

import numpy as np

from steepest.envs.adapters.separate import SeparateEnvironments
from steepest.envs.adapters.vector import Step, checked_reward


class ResetsOnNextStep(SeparateEnvironments):
    """Where an episode has ended, the next step begins another one and ignores its action, as EnvPool does."""

    def reset(self, episodes=None):
        self._over = np.zeros(self.num_envs, bool)
        return super().reset()  # it does not rest

    def receive(self):
        over, raw, reward = self._over, [], np.zeros(self.num_envs)
        ends = np.zeros((2, self.num_envs), bool)
        for index in range(self.num_envs):
            if over[index]:
                raw.append(self._reset(index))
            else:
                obs, reward[index], *ends[:, index] = self._step(index)
                raw.append(obs)
        self._over = ends.any(axis=0)
        obs = self._observed(raw, np.arange(self.num_envs))
        return Step(obs, obs, checked_reward(self.id, reward, self.num_envs), *ends, ~over)


BEGINNINGS = [SeparateEnvironments, ResetsOnNextStep]
"""An episode begins in the step in which another has ended, or in the next one."""
