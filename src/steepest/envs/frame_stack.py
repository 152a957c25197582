"""Observations that hold the last frames of the episode."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from steepest.core.spaces import Box, Leaf, Space, map_leaves, stacked
from steepest.core.types import PyTree
from steepest.envs.environment import AbstractEnvironment


class FrameStack(AbstractEnvironment):
    """A compiled environment whose observations hold the last frames of the episode, oldest first.

    Before there are so many, the first frame of the episode stands in for those that are missing.

    - `env`: which.
    - `frames`: how many.

    >>> from steepest.envs.pendulum import Pendulum
    >>> print(FrameStack(Pendulum(), 4).observation_space)
    Box[4, 3] in [-8, 8]
    """

    env: AbstractEnvironment
    frames: int = eqx.field(static=True)
    frame: Space = eqx.field(static=True)  # the bounds of a space may be constants of `env`, which programs trace
    id: str = eqx.field(static=True)
    max_episode_steps: int | None = eqx.field(static=True)
    reset_pool: int = eqx.field(static=True)

    def __init__(self, env: AbstractEnvironment, frames: int):
        self.env, self.frames, self.frame = env, frames, env.observation_space
        self.id, self.max_episode_steps, self.reset_pool = env.id, env.max_episode_steps, env.reset_pool

    @property
    def observation_space(self) -> Space:
        return stacked(self.frame, self.frames)

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def initial(self, key: Key[Array, ""]) -> PyTree:
        state = self.env.initial(key)

        def first(leaf: Leaf, obs: Array) -> Array:
            return jnp.broadcast_to(obs[None], (self.frames, *obs.shape)) if isinstance(leaf, Box) else obs

        return state, map_leaves(first, self.frame, self.env.observe(state))

    def observe(self, state: PyTree) -> PyTree:
        return state[1]

    def step(
        self, key: Key[Array, ""], state: PyTree, action: PyTree
    ) -> tuple[PyTree, Float[Array, ""], Bool[Array, ""]]:
        after, reward, terminated = self.env.step(key, state[0], action)

        def pushed(leaf: Leaf, kept: Array, obs: Array) -> Array:
            return jnp.concatenate([kept[1:], obs[None]]) if isinstance(leaf, Box) else obs

        frames = map_leaves(pushed, self.frame, state[1], self.env.observe(after))
        return (after, jax.tree.map(lambda new, old: new.astype(old.dtype), frames, state[1])), reward, terminated
