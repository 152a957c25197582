"""What a compiled environment is: three pure functions and a few facts."""

import abc
from typing import Any, ClassVar, Generic, TypeVar

import equinox as eqx
from jaxtyping import Array, Bool, Float, Key

from steepest.core.spaces import Space

State = TypeVar("State")


class AbstractEnvironment(eqx.Module, Generic[State]):
    """One environment, written in JAX; callers `jax.vmap` it.

    A subclass is a frozen dataclass: physical constants are fields, and fields that are floats may be traced.
    Resetting after an end and the time limit are the sampler's business, not the environment's: `step` is
    never told the time, and `terminated` says only that the new state is absorbing.

    - `id`: the name shown to people, and the key of presets.
    - `observation_space`, `action_space`: one observation, one action, without batch axes.
    - `max_episode_steps`: the time limit, after which the sampler marks `truncated`; `None` for no limit.
    """

    id: ClassVar[str]
    max_episode_steps: ClassVar[int | None] = None

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
    def observe(self, state: State) -> Array:
        """The observation of `state`."""

    @abc.abstractmethod
    def step(self, key: Key[Array, ""], state: State, action: Any) -> tuple[State, Float[Array, ""], Bool[Array, ""]]:
        """Return the successor of `state` under `action`, the reward, and whether the successor is absorbing."""
