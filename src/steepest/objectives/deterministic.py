"""The deterministic policy gradient, as the gradient of an objective (G15)."""

import jax
from jaxtyping import Array, Float

from steepest.core.distributions import AbstractDistribution
from steepest.core.interfaces import ActionValueFunction
from steepest.core.problem import Info, weighted_mean
from steepest.core.trajectory import Batch
from steepest.objectives.objective import AbstractObjective


class Deterministic(AbstractObjective):
    r"""$\frac{1}{\sum w}\sum_i w_i\,\hat A_i\,Q(s_i, \mu_\theta(s_i))$, with $\mu$ the mode of the policy.

    Its gradient is $\nabla_\theta\mu\,\nabla_a Q$ by the chain rule. `batch.advantage` is the weight of
    a state, 1 as a rule.

    **Arguments**

    - `action_value`: $Q$, `(obs, action) -> value`; it is not learned here.

    **Reference** Silver et al., *Deterministic Policy Gradient Algorithms*, 2014, theorem 1.
    """

    action_value: ActionValueFunction

    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        value = self.action_value(batch.obs, distribution.squash(distribution.mode()))
        return weighted_mean(value * jax.lax.stop_gradient(batch.advantage), batch.weight), {}
