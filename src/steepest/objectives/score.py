"""The pseudo-loss of the score function (G16)."""

import jax
from jaxtyping import Array, Float

import steepest._platform  # noqa: F401
from steepest.core.distributions import AbstractDistribution
from steepest.core.problem import Info, weighted_mean
from steepest.core.trajectory import Batch
from steepest.objectives.objective import AbstractObjective


class Score(AbstractObjective):
    r"""$\frac{1}{\sum w}\sum_i w_i \log\pi_\theta(a_i|s_i)\,\hat A_i$

    Its gradient at the policy that acted is the policy gradient, a mean over steps. Elsewhere it is the gradient of
    nothing: take one step and sample anew.

    **Reference** Williams, *Simple statistical gradient-following algorithms*, 1992.
    """

    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        advantage = jax.lax.stop_gradient(batch.advantage)
        return weighted_mean(distribution.log_prob(batch.action) * advantage, batch.weight), {}
