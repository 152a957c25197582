"""What the two ways of training have in common, seen from outside."""

import abc
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Shaped

from steepest.core.errors import EnvironmentFault, NonFiniteError
from steepest.core.finiteness import MASK
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.types import PyTree

Row = dict[str, float]
"""One update of one seed: `seed`, `update`, `steps`, `episodes`, `return`, `length`, and the algorithm's metrics."""


class Told(eqx.Module):
    """Metrics as a compiled program returns them: floats as the bits that they are made of.

    NaN is a metric's way to say that there was nothing to measure, such as the return where no episode has ended.
    JAX would take it for a mistake where `JAX_DEBUG_NANS` is set.
    """

    bits: dict[str, Int[Array, "*rows"]]
    counts: dict[str, Shaped[Array, "*rows"]]

    @classmethod
    def of(cls, metrics: dict[str, Array]) -> "Told":
        """Inside the program."""
        floats = {name for name, values in metrics.items() if values.dtype == jnp.float32}
        bits = {name: jax.lax.bitcast_convert_type(metrics[name], jnp.int32) for name in metrics if name in floats}
        return cls(bits, {name: metrics[name] for name in metrics if name not in floats})

    def numbers(self) -> dict[str, np.ndarray]:
        """Outside of it, in host memory."""
        found: Told = jax.device_get(self)
        floats = {name: np.asarray(values).view(np.float32) for name, values in found.bits.items()}
        counts = {name: np.asarray(values) for name, values in found.counts.items()}
        return dict(sorted((floats | counts).items()))


class AbstractTraining(abc.ABC):
    """Some seeds being trained side by side. Nothing happens between calls of `advance`.

    - `seeds`: which.
    - `total_steps`: environment steps for each.
    """

    algorithm: AbstractAlgorithm
    seeds: tuple[int, ...]
    total_steps: int

    @abc.abstractmethod
    def advance(self, seconds: float, until: int | None = None) -> list[Row]:
        """Train for about so long, at least one update; returns a row for each update and seed.

        **Arguments**

        - `until`: go no further than the first update at which a seed has made so many steps, though there be time.

        **Raises** `NonFiniteError` when a quantity of the last seed that goes on stops being finite, and
        `EnvironmentFault` when an environment misbehaves, with the rows of the updates before it. What `states` returns
        after that is from before it, too.
        """

    @property
    @abc.abstractmethod
    def steps(self) -> int:
        """Environment steps that the seed which has fewest has made, of those that go on."""

    @property
    def diverged(self) -> Mapping[int, NonFiniteError | EnvironmentFault]:
        """Seeds that rest since a quantity of theirs stopped being finite, while others go on."""
        return {}

    def _end(self, until: int | None) -> int:
        return self.total_steps if until is None else min(until, self.total_steps)

    @property
    def finished(self) -> bool:
        """Whether every seed that has not diverged has made its steps."""
        return self.steps >= self.total_steps

    @abc.abstractmethod
    def states(self) -> dict[int, PyTree]:
        """All that has to be kept of each seed in order to go on later: a tree of arrays."""

    @abc.abstractmethod
    def restore(self, states: dict[int, PyTree]) -> None:
        """Go on from what `states` returned."""

    @abc.abstractmethod
    def agents(self) -> dict[int, PyTree]:
        """The agent of each seed, as it is now."""

    def close(self) -> None:  # noqa: B027  most hold nothing
        """Give back what is held."""


class OneSeedTraining(AbstractTraining):
    """One seed, whose state has an `agent` and `steps`."""

    _state: PyTree

    @property
    def steps(self) -> int:
        return int(self._state.steps)

    def states(self) -> dict[int, PyTree]:
        return {self.seeds[0]: self._state}

    def restore(self, states: dict[int, PyTree]) -> None:
        self._state = states[self.seeds[0]]

    def agents(self) -> dict[int, PyTree]:
        return {self.seeds[0]: self._state.agent}


def not_finite(
    name: str, seed: int, update: int, steps: int, env: str = "the environment"
) -> NonFiniteError | EnvironmentFault:
    """The error for the first quantity that was not finite, or the first stream in which no action was allowed."""
    if name.startswith(f"{MASK}["):
        return no_action_allowed(
            env, name.removeprefix(MASK)[1:-1], f"in update {update} (step {steps}) of seed {seed}"
        )
    return NonFiniteError(
        f"{name.replace('_', ' ')} is not finite at update {update} (step {steps}) of seed {seed}; the parameters are "
        f"those from before it. Lower the learning rates, or check the rewards and observations of the environment."
    )


def no_action_allowed(env: str, stream: int | str, when: str) -> EnvironmentFault:
    """The error for a state of a compiled environment in which nothing is allowed."""
    return EnvironmentFault(
        f"{env}: the action mask of environment {stream} allows no action, {when}. Correct the environment: a state in "
        "which nothing can be done ends the episode."
    )
