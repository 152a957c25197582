"""A compiled environment served step by step, as one on the host would be."""

import functools

import jax
import numpy as np
from jaxtyping import Array, Key

from steepest.envs.adapters.vector import AbstractVectorEnvironment, Step
from steepest.envs.environment import AbstractEnvironment
from steepest.sampling.compiled import EnvState, advance, begin, clip_to, env_key, select


class ServedEnvironment(AbstractVectorEnvironment):
    """N copies of a compiled environment, driven from outside.

    They draw the same random numbers as they would in a compiled program with the same key, so the two ways of
    training can be compared step for step.
    """

    def __init__(self, env: AbstractEnvironment, *, num_envs: int, key: Key[Array, ""]):
        self.id, self.library = env.id, "steepest"
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.num_envs, self.max_episode_steps = num_envs, env.max_episode_steps
        self._key, self._restarts, self._time = key, 0, 0
        self._begin = jax.jit(functools.partial(begin, env, num_envs=num_envs))
        self._advance = jax.jit(functools.partial(advance, env))
        self._select = jax.jit(select)

    def reset(self, episodes: object = None) -> np.ndarray:
        self._restarts += 1
        self._places: EnvState = self._begin(env_key(self._key, self._restarts, 0))
        self._time = 1
        return np.asarray(self._places.obs)

    def send(self, action: np.ndarray) -> None:
        key = env_key(self._key, self._restarts, self._time)
        self._time += 1
        after, self._outcome = self._advance(key, self._places, clip_to(self.action_space, jax.numpy.asarray(action)))
        self._true_obs = after.obs
        ended = self._outcome.terminated | self._outcome.truncated
        self._places = self._select(ended, self._begin(key), after)

    def receive(self) -> Step:
        return Step(
            obs=np.asarray(self._places.obs),
            next_obs=np.asarray(self._true_obs),
            reward=np.asarray(self._outcome.reward),
            terminated=np.asarray(self._outcome.terminated),
            truncated=np.asarray(self._outcome.truncated),
            valid=np.ones(self.num_envs, bool),
        )

    def close(self) -> None:
        """Nothing is held."""
