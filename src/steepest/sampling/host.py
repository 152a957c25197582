"""Sampling from environments that run on the host, outside any compiled program."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key

import steepest._platform  # noqa: F401
from steepest.core.errors import InputError
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.trajectory import Trajectory
from steepest.envs.adapters.vector import AbstractVectorEnvironment, Step

Act = Callable[[Key[Array, ""], np.int32, Any, np.ndarray], tuple[Array, Array]]


def acting(algorithm: AbstractAlgorithm) -> Act:
    """One compiled function that draws the actions of step `index` of a trajectory."""

    def act(key, index, agent, obs):
        return algorithm.act(jax.random.fold_in(key, index), agent, obs)

    return jax.jit(act)


class HostStreams:
    """Groups of environments that play one episode after another, served in turn.

    While one group steps, the other is acted for: with environments that step in threads of their own, both are
    always busy, and because the turns are fixed the result does not depend on timing.

    **Arguments**

    - `groups`: of equally many environments each, with the same spaces.
    """

    def __init__(self, algorithm: AbstractAlgorithm, groups: Sequence[AbstractVectorEnvironment]):
        limit = groups[0].max_episode_steps
        length = algorithm.feed.length or limit
        if length is None:
            raise InputError(
                f"environment {groups[0].id} has no time limit, so its episodes need not end, and this algorithm "
                f"learns from whole episodes. Register it with max_episode_steps, or choose ppo or a2c."
            )
        self._whole = algorithm.feed.whole_episodes
        self._act = acting(algorithm)
        self._groups = groups
        self._length = length
        self._obs: list[np.ndarray] = []
        total = sum(group.num_envs for group in groups)
        self._return, self._elapsed = np.zeros(total), np.zeros(total, np.int64)
        edges = np.cumsum([0, *(group.num_envs for group in groups)])
        self._columns = [slice(int(a), int(b)) for a, b in zip(edges[:-1], edges[1:], strict=True)]

    def sample(self, agent: Any, key: Key[Array, ""]) -> tuple[Trajectory, list[tuple[float, int]]]:
        """Sample a trajectory; returns it, in host memory, and the return and length of each episode that ended.

        **Arguments**

        - `key`: of the actions; those of group g at step t are drawn with `fold_in(key, t × groups + g)`.
        """
        if self._whole or not self._obs:
            self._obs = [group.reset() for group in self._groups]
            self._return[:], self._elapsed[:] = 0, 0
        rows = self._blank()
        finished: list[tuple[float, int]] = []
        wanted = np.ones(len(self._return), bool)
        groups = len(self._groups)
        for time in range(self._length):
            for index, group in enumerate(self._groups):
                if time > 0:
                    self._receive(rows, time - 1, index, wanted, finished)
                columns = self._columns[index]
                action, log_prob = self._act(key, np.int32(time * groups + index), agent, self._obs[index])
                action = np.asarray(action)
                group.send(action)
                rows.obs[time, columns], rows.action[time, columns] = self._obs[index], action
                rows.log_prob[time, columns] = log_prob
            if self._whole and not wanted.any():
                break
        for index in range(groups):
            self._receive(rows, time, index, wanted, finished)
        return rows, finished

    def close(self) -> None:
        """Give back what the environments hold."""
        for group in self._groups:
            group.close()

    def _receive(
        self, rows: Trajectory, time: int, index: int, wanted: np.ndarray, finished: list[tuple[float, int]]
    ) -> None:
        """Write down what the group's environments answered to the actions of step `time`."""
        columns, step = self._columns[index], self._groups[index].receive()
        rows.next_obs[time, columns] = step.next_obs
        rows.reward[time, columns] = step.reward
        rows.terminated[time, columns] = step.terminated
        rows.truncated[time, columns] = step.truncated
        rows.valid[time, columns] = step.valid & wanted[columns]
        self._obs[index] = step.obs
        self._count(step, columns, wanted, finished)

    def _count(self, step: Step, columns: slice, wanted: np.ndarray, finished: list[tuple[float, int]]) -> None:
        returns, elapsed = self._return[columns], self._elapsed[columns]
        returns += np.where(step.valid, step.reward, 0)
        elapsed += step.valid
        ended = step.valid & (step.terminated | step.truncated)
        if ended.any():
            finished.extend((float(returns[i]), int(elapsed[i])) for i in np.flatnonzero(ended & wanted[columns]))
            returns[ended], elapsed[ended] = 0, 0
            if self._whole:
                wanted[columns] &= ~ended

    def _blank(self) -> Trajectory:
        env, shape = self._groups[0], (self._length, len(self._return))
        obs, action = env.observation_space, env.action_space
        return Trajectory(
            obs=np.zeros((*shape, *obs.shape), obs.dtype),
            action=np.zeros((*shape, *action.shape), action.dtype),
            next_obs=np.zeros((*shape, *obs.shape), obs.dtype),
            reward=np.zeros(shape, np.float32),
            log_prob=np.zeros(shape, np.float32),
            terminated=np.zeros(shape, bool),
            truncated=np.zeros(shape, bool),
            valid=np.zeros(shape, bool),
        )
