"""Environments on the host whose observations hold the last frames of the episode."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Int

from steepest.core.spaces import Box, Leaf, map_leaves, stacked
from steepest.core.types import PyTree
from steepest.envs.adapters.vector import AbstractVectorEnvironment, Step


class StackedFrames(AbstractVectorEnvironment):
    """Vector environments whose observations hold the last frames of the episode, oldest first.

    Before there are so many, the first frame of the episode stands in for those that are missing.

    - `env`: which.
    - `frames`: how many.
    """

    def __init__(self, env: AbstractVectorEnvironment, frames: int):
        self._env, self._frames = env, frames
        self.id, self.library, self.num_envs = env.id, env.library, env.num_envs
        self.observation_space, self.action_space = stacked(env.observation_space, frames), env.action_space
        self.max_episode_steps = env.max_episode_steps

    def reset(self, episodes: Int[np.ndarray, " N"] | None = None) -> PyTree:
        self._kept = self._begun(self._env.reset(episodes))
        return self._kept

    def send(self, action: PyTree) -> None:
        self._env.send(action)

    def receive(self) -> Step:
        step = self._env.receive()
        began = step.terminated | step.truncated | ~step.valid
        next_obs = self._pushed(step.next_obs)
        self._kept = self._chosen(began, self._begun(step.obs), next_obs) if began.any() else next_obs
        return dataclasses.replace(step, obs=self._kept, next_obs=next_obs)

    def close(self) -> None:
        self._env.close()

    def _begun(self, obs: PyTree) -> PyTree:
        def one(leaf: Leaf, first: np.ndarray) -> np.ndarray:
            return np.repeat(first[:, None], self._frames, axis=1) if isinstance(leaf, Box) else first

        return map_leaves(one, self._env.observation_space, obs)

    def _pushed(self, obs: PyTree) -> PyTree:
        def one(leaf: Leaf, kept: np.ndarray, new: np.ndarray) -> np.ndarray:
            return np.concatenate([kept[:, 1:], new[:, None]], axis=1) if isinstance(leaf, Box) else new

        return map_leaves(one, self._env.observation_space, self._kept, obs)

    def _chosen(self, which: Bool[np.ndarray, " N"], one: PyTree, other: PyTree) -> PyTree:
        def chosen(_: Leaf, one: np.ndarray, other: np.ndarray) -> np.ndarray:
            return np.where(which.reshape(-1, *[1] * (one.ndim - 1)), one, other)

        return map_leaves(chosen, self.observation_space, one, other)
