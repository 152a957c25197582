"""Numbers that change over a run, such as a learning rate that falls to 0."""

import abc
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steepest.core.errors import InputError

Part = TypeVar("Part")


class AbstractSchedule(eqx.Module):
    """A number as a function of the share of the run that is over. It may stand wherever a part takes a number."""

    @abc.abstractmethod
    def at(self, progress: Float[Array, ""]) -> Float[Array, ""]:
        """The number after the share `progress`, from 0 to 1, of all updates."""


class Linear(AbstractSchedule):
    """A straight line from `initial` to `final`, which is reached at the end of the run.

    >>> print(Linear(1e-3, 0.0).at(jnp.array(0.25)))
    0.00075
    """

    initial: float | Float[Array, ""]
    final: float | Float[Array, ""]

    def at(self, progress: Float[Array, ""]) -> Float[Array, ""]:
        return self.initial + (self.final - self.initial) * jnp.minimum(progress, 1)


Number = float | Float[Array, ""] | AbstractSchedule
"""A number of a part: fixed, traced under `jax.vmap`, or on a schedule."""


def at_progress(part: Part, progress: Float[Array, ""]) -> Part:
    """The part with every schedule in it replaced by its number after the share `progress` of the run.

    Bodies call this once an update, for objectives and step rules alike: a run has one clock.
    """

    def is_schedule(leaf: object) -> bool:
        return isinstance(leaf, AbstractSchedule)

    return jax.tree.map(lambda leaf: leaf.at(progress) if is_schedule(leaf) else leaf, part, is_leaf=is_schedule)


def fixed(name: str, number: Number) -> float | Float[Array, ""]:
    """A number that is on no schedule any more. **Raises** `InputError` for one that is."""
    if isinstance(number, AbstractSchedule):
        raise InputError(
            f"{name} is a schedule, and nothing says how far the run is. Use at_progress on the part first."
        )
    return number
