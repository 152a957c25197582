"""The importance-sampled surrogate (S4)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steepest.core.distributions import AbstractDistribution
from steepest.core.problem import Info, weighted_mean
from steepest.core.trajectory import Batch
from steepest.objectives.objective import AbstractObjective


class Ratio(AbstractObjective):
    r"""$\frac{1}{\sum w}\sum_i w_i\, \rho_i\, \hat A_i$, $\rho = \pi_\theta(a|s)/\pi_{old}(a|s)$.

    The first-order model of J around the old policy: its gradient there is the policy gradient. Nothing keeps the
    ratio near 1; whoever maximises it must.

    `info` holds `ratio_deviation`, the mean of $|\rho - 1|$, which is twice the total variation between the policies.

    **Reference** Schulman et al., *Trust Region Policy Optimization*, 2015, eq. 14.
    """

    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        ratio = jnp.exp(distribution.log_prob(batch.action) - batch.log_prob)
        advantage = jax.lax.stop_gradient(batch.advantage)
        deviation = weighted_mean(jnp.abs(ratio - 1), batch.weight)
        return weighted_mean(ratio * advantage, batch.weight), {"ratio_deviation": deviation}
