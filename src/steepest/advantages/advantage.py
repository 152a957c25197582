"""What every advantage estimator does, and standardising what it returns."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from steepest.core.trajectory import Estimates, Trajectory


class AbstractAdvantage(eqx.Module):
    """An estimator of the advantage $A(s_t, a_t)$ of every row of a trajectory, and of the critic's target."""

    @abc.abstractmethod
    def __call__(
        self, trajectory: Trajectory, value: Float[Array, "T N"], next_value: Float[Array, "T N"]
    ) -> Estimates:
        """Estimate from the critic's values of `obs` and `next_obs`; zeros when there is no critic."""


class Standardised(AbstractAdvantage):
    """An advantage less its mean, over its deviation, both over the valid rows. The critic's target stays as it is.

    A step size then means the same whatever the unit of reward.
    """

    advantage: AbstractAdvantage

    def __call__(
        self, trajectory: Trajectory, value: Float[Array, "T N"], next_value: Float[Array, "T N"]
    ) -> Estimates:
        estimates = self.advantage(trajectory, value, next_value)
        return Estimates(standardise(estimates.advantage, trajectory.valid), estimates.value_target)


def standardise(advantage: Float[Array, "*rows"], valid: Bool[Array, "*rows"]) -> Float[Array, "*rows"]:
    """$(A - \\bar A) / (\\sigma_A + 10^{-8})$ with the moments of the valid rows.

    A single row, or rows all alike, become 0: there is nothing to prefer among them.

    >>> standardise(jnp.array([1.0, 3.0, 99.0]), jnp.array([True, True, False]))[:2]
    Array([-1.,  1.], dtype=float32)
    """
    # Measured from one of them, so that the rounding of a mean of equal numbers does not become a preference.
    largest = jnp.max(jnp.where(valid, advantage, -jnp.inf))
    advantage = advantage - jnp.where(jnp.any(valid), largest, 0)
    weight = valid.astype(advantage.dtype)
    share = weight / jnp.maximum(jnp.sum(weight), 1)
    mean = jnp.sum(advantage * share)
    variance = jnp.sum(jnp.square(advantage - mean) * share)
    return (advantage - mean) / (jnp.sqrt(variance) + 1e-8)
