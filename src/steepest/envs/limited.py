"""A compiled environment with another time limit."""

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, Key, UInt8

from steepest.core.spaces import Space
from steepest.core.types import PyTree
from steepest.envs.environment import AbstractEnvironment


class Limited(AbstractEnvironment):
    """An environment as it is, but for the time limit.

    - `env`: which.
    - `max_episode_steps`: the time limit, longer or shorter than its own.
    """

    env: AbstractEnvironment
    id: str = eqx.field(static=True)
    max_episode_steps: int | None = eqx.field(static=True)
    reset_pool: int = eqx.field(static=True)
    render_fps: int = eqx.field(static=True)

    def __init__(self, env: AbstractEnvironment, max_episode_steps: int):
        self.env, self.id, self.reset_pool, self.render_fps = env, env.id, env.reset_pool, env.render_fps
        self.max_episode_steps = max_episode_steps

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def initial(self, key: Key[Array, ""]) -> PyTree:
        return self.env.initial(key)

    def observe(self, state: PyTree) -> PyTree:
        return self.env.observe(state)

    def step(
        self, key: Key[Array, ""], state: PyTree, action: PyTree
    ) -> tuple[PyTree, Float[Array, ""], Bool[Array, ""]]:
        return self.env.step(key, state, action)

    def draw(self, state: PyTree, action: np.ndarray | None) -> UInt8[np.ndarray, "height width 3"] | None:
        return self.env.draw(state, action)
