"""Value functions that may depend on the time since an episode began (C7)."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from steepest.core.problem import weighted_mean
from steepest.core.spaces import without_mask
from steepest.core.types import AnyArray, PyTree
from steepest.core.validation import check_number


class AbstractTimeDependentValue(eqx.Module):
    """A time-dependent value function $V(s, t)$, the expected return after t steps of an episode."""

    @abc.abstractmethod
    def __call__(self, obs: PyTree, time: Int[AnyArray, "*batch"]) -> Float[Array, "*batch"]:
        """The value of each observation, [*batch, …], `time` steps after its episode began."""


class Stationary(AbstractTimeDependentValue):
    """A value function that ignores the time.

    - `critic`: from observations alone to values, such as `StateValue`.
    """

    critic: Callable[[AnyArray], Array]

    def __call__(self, obs: PyTree, time: Int[AnyArray, "*batch"]) -> Float[Array, "*batch"]:
        return self.critic(obs)


class TabularValue(AbstractTimeDependentValue):
    r"""A table of values, one for each discrete observation, or for each pair of a time and an observation.

    A table by time holds the return before the horizon H. After its last row the value is 0, also where an episode was
    truncated. To bootstrap at a time limit, take a table without time.

    - `table`: [S]; or [H, S] for the times 0…H−1; or [H+1, S], whose last row is what is left at the end.

    **Example**

    >>> two_steps = TabularValue(jnp.array([[3.0, 2.0], [1.0, 0.5]]))
    >>> two_steps(jnp.array([0, 0, 0]), jnp.array([0, 1, 2]))
    Array([3., 1., 0.], dtype=float32)
    """

    table: Float[Array, "S"] | Float[Array, "H S"]

    def __call__(self, obs: PyTree, time: Int[AnyArray, "*batch"]) -> Float[Array, "*batch"]:
        obs = without_mask(obs)
        if self.table.ndim == 1:
            return self.table[obs]
        last = self.table.shape[0] - 1
        return jnp.where(time > last, 0, self.table[jnp.clip(time, 0, last), obs])

    @classmethod
    def fit(
        cls,
        obs: PyTree,
        time: Int[AnyArray, "*batch"],
        target: Float[AnyArray, "*batch"],
        weight: Float[AnyArray, "*batch"],
        states: int,
        horizon: int,
    ) -> "TabularValue":
        r"""The mean target of every cell: $V(s,t) = \sum w\,y / \sum w$ over the rows with that state and time.

        An empty cell gets the mean of its time, and where the time was never seen, the mean of all; no rows give 0.

        **Arguments**

        - `obs`: $s \in \{0…S-1\}$.
        - `time`: steps since the episode began.
        - `target`: $y$, in the unit of return; the reward-to-go, say.
        - `weight`: of each row. 0 ignores it, even when it holds NaN. Rows outside the table are ignored too.
        - `states`, `horizon`: S and H.

        **Example**

        >>> obs, time = jnp.array([0, 0, 1]), jnp.array([0, 0, 1])
        >>> TabularValue.fit(obs, time, jnp.array([1.0, 3.0, 8.0]), jnp.ones(3), states=2, horizon=3).table
        Array([[2., 2.],
               [8., 8.],
               [4., 4.]], dtype=float32)
        """
        check_number("states", states, at_least=1, whole=True, remedy="Give the number of observations.")
        check_number("horizon", horizon, at_least=1, whole=True, remedy="Give the length of the longest episode.")
        rows = without_mask(obs), time, target, weight
        obs, time, target, weight = (jnp.asarray(each).reshape(-1) for each in rows)
        counted = inside(time, horizon, weight) & (obs >= 0) & (obs < states)
        weight = jnp.where(counted, weight, 0).astype(target.dtype)
        cell = jnp.where(counted, time * states + obs, 0)

        # Sums of deviations round less than sums of targets, and leave 0 for what was never seen.
        mean = weighted_mean(target, weight)
        deviation = jnp.where(counted, target - mean, 0)
        sums, counts = (
            jax.ops.segment_sum(rows, cell, horizon * states).reshape(horizon, states)
            for rows in (weight * deviation, weight)
        )
        by_time = _ratio(jnp.sum(sums, axis=1), jnp.sum(counts, axis=1))
        return cls(mean + jnp.where(counts > 0, _ratio(sums, counts), by_time[:, None]))


def inside(time: Int[Array, " B"], horizon: int, weight: Float[Array, " B"]) -> Array:
    """Whether a row counts: it has weight, and its time is before the horizon."""
    return (weight > 0) & (time >= 0) & (time < horizon)


def _ratio(total: Float[Array, "*cells"], count: Float[Array, "*cells"]) -> Float[Array, "*cells"]:
    return total / jnp.where(count > 0, count, 1)
