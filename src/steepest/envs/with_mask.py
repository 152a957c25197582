"""A compiled environment that says which actions are allowed."""

from typing import Protocol, runtime_checkable

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, Key, UInt8

from steepest.core.spaces import Mask, Masked, MaskedObservation, Space
from steepest.core.types import PyTree
from steepest.envs.environment import AbstractEnvironment


@runtime_checkable
class SaysWhatIsAllowed(Protocol):
    """A compiled environment with a mask."""

    def mask(self, state: PyTree) -> Bool[Array, " n"]:
        """Which choices are allowed in `state`, as `steepest.core.spaces.Mask` orders them; never none of them."""
        ...


class WithMask(AbstractEnvironment):
    """An environment whose observations bring along what its method `mask(state)` says.

    - `env`: which.

    **Raises** `InputError` where its actions are no choices.
    """

    env: AbstractEnvironment
    id: str = eqx.field(static=True)
    max_episode_steps: int | None = eqx.field(static=True)
    reset_pool: int = eqx.field(static=True)
    render_fps: int = eqx.field(static=True)

    def __init__(self, env: AbstractEnvironment):
        Mask.of(env.action_space)
        self.env, self.id = env, env.id
        self.max_episode_steps, self.reset_pool = env.max_episode_steps, env.reset_pool
        self.render_fps = env.render_fps

    @property
    def observation_space(self) -> Space:
        return Masked(self.env.observation_space, Mask.of(self.env.action_space))

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def initial(self, key: Key[Array, ""]) -> PyTree:
        return self.env.initial(key)

    def observe(self, state: PyTree) -> PyTree:
        assert isinstance(self.env, SaysWhatIsAllowed)
        return MaskedObservation(self.env.observe(state), self.env.mask(state))

    def step(
        self, key: Key[Array, ""], state: PyTree, action: PyTree
    ) -> tuple[PyTree, Float[Array, ""], Bool[Array, ""]]:
        return self.env.step(key, state, action)

    def draw(self, state: PyTree, action: np.ndarray | None) -> UInt8[np.ndarray, "height width 3"] | None:
        return self.env.draw(state, action)
