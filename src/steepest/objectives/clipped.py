"""The clipped importance ratio of PPO (S7)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steepest.core.distributions import AbstractDistribution
from steepest.core.problem import Info, weighted_mean
from steepest.core.schedules import Number, fixed
from steepest.core.trajectory import Batch
from steepest.core.validation import check_number
from steepest.objectives.objective import AbstractObjective


class Clipped(AbstractObjective):
    r"""$\mathrm{mean}\,\min\bigl(\rho\hat A,\ \mathrm{clip}(\rho, 1-\epsilon, 1+\epsilon)\,\hat A\bigr)$,
    $\rho = \pi_\theta(a|s)/\pi_{old}(a|s)$.

    Beyond the radius there is nothing more to gain, so the gradient of that row is 0 and the ratio stays near it;
    but nothing pulls it back, and the KL may grow: measure it.

    **Arguments**

    - `radius`: $\epsilon > 0$, the ratio's distance from 1 at which the gain stops.

    `info` holds `clip_fraction`, the share of rows whose ratio lies outside the radius.

    **Reference** Schulman et al., *Proximal Policy Optimization Algorithms*, 2017, eq. 7.
    """

    radius: Number

    def __check_init__(self):
        check_number("clip radius", self.radius, above=0, remedy="0.2 is usual.")

    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        radius = fixed("clip radius", self.radius)
        ratio = jnp.exp(distribution.log_prob(batch.action) - batch.log_prob)
        advantage = jax.lax.stop_gradient(batch.advantage)
        # A ratio that is NaN stays NaN through both, so that it is noticed.
        clipped = jnp.clip(ratio, 1 - radius, 1 + radius)
        outside = (jnp.abs(ratio - 1) > radius).astype(ratio.dtype)
        gain = weighted_mean(jnp.minimum(ratio * advantage, clipped * advantage), batch.weight)
        return gain, {"clip_fraction": weighted_mean(outside, batch.weight)}
