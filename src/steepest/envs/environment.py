"""What a compiled environment is: three pure functions and a few facts."""

import abc
from typing import TYPE_CHECKING, Generic, TypeVar

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, Key, UInt8

from steepest.core.spaces import Space
from steepest.core.types import PyTree

State = TypeVar("State")


class AbstractEnvironment(eqx.Module, Generic[State]):
    """One environment, written in JAX; callers `jax.vmap` it.

    A subclass is a frozen dataclass: physical constants are fields, and fields that are floats may be traced.
    Resetting after an end and the time limit are the sampler's business, not the environment's: `step` is
    never told the time, and `terminated` says only that the new state is absorbing.

    - `id`: the name shown to people, and the key of presets.
    - `observation_space`, `action_space`: one observation, one action, without batch axes.
    - `max_episode_steps`: the time limit, after which the sampler marks `truncated`; None for no limit.
    - `reset_pool`: how many fresh starts are drawn for a trajectory and shared by the episodes that begin in it; 0 for
      one of its own for each. The compiled sampler computes a start for every step of every stream, since any of them
      may need one, so where `initial` costs more than `step` most of the time goes there. With a pool, every episode
      takes one of its starts at random: starts repeat within a trajectory, never from one to the next.
    - `render_fps`: steps that a recording shows in a second.

    The last four and `id` belong to an instance: class attributes where all are alike, `id = "Thermostat"`, or static
    fields where they differ, `max_episode_steps: int = equinox.field(static=True, default=100)`.
    """

    id: eqx.AbstractVar[str]
    if TYPE_CHECKING:
        max_episode_steps: int | None = eqx.field(default=None, kw_only=True)
        reset_pool: int = eqx.field(default=0, kw_only=True)
        render_fps: int = eqx.field(default=30, kw_only=True)
    else:  # without annotations, or they would be fields, which no class attribute replaces
        max_episode_steps = None
        reset_pool = 0
        render_fps = 30

    @property
    @abc.abstractmethod
    def observation_space(self) -> Space:
        """What `observe` returns."""

    @property
    @abc.abstractmethod
    def action_space(self) -> Space:
        """What `step` takes. Actions for a `Box` arrive clipped to it."""

    @abc.abstractmethod
    def initial(self, key: Key[Array, ""]) -> State:
        """Draw the state that an episode starts from."""

    @abc.abstractmethod
    def observe(self, state: State) -> PyTree:
        """The observation of `state`: an array, or a tree of them where the space is one."""

    @abc.abstractmethod
    def step(
        self, key: Key[Array, ""], state: State, action: PyTree
    ) -> tuple[State, Float[Array, ""], Bool[Array, ""]]:
        """Return the successor of `state` under `action`, the reward, and whether the successor is absorbing."""

    def draw(self, state: State, action: np.ndarray | None) -> UInt8[np.ndarray, "height width 3"] | None:
        """A picture of `state`, for recordings: three bytes for each pixel, the upper row first.

        It is called outside of compiled programs. An environment that cannot be seen returns None.

        **Arguments**

        - `action`: the one that led to `state`, as `step` takes it; None where an episode begins.
        """
        return None
