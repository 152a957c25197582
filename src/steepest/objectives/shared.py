"""Actor and critic in one objective, for one network with two heads (C5)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steepest.core.problem import Info, weighted_mean
from steepest.core.trajectory import Batch
from steepest.core.validation import check_number
from steepest.objectives.objective import AbstractObjective


class PlusValue(eqx.Module):
    r"""`objective` $-\;c\,\cdot\tfrac12\,\mathrm{mean}\,(V_\theta(s) - y)^2$, on one evaluation of both heads.

    **Arguments**

    - `objective`: of the policy's distributions.
    - `coefficient`: $c > 0$, in units of the objective per squared unit of return. The trunk serves two masters, and
      this says how much it listens to the second.

    The policy must have `both(obs) -> (distribution, value)`, and the batch its `value_target`. `info` holds the
    `value_loss`, $\tfrac12\,\mathrm{mean}\,(V-y)^2$.

    **Reference** Mnih et al., *Asynchronous Methods for Deep Reinforcement Learning*, 2016, section 4.
    """

    objective: AbstractObjective
    coefficient: float | Float[Array, ""]

    def __check_init__(self):
        check_number("value coefficient", self.coefficient, above=0, remedy="0.5 is usual.")

    def at(self, progress: Float[Array, ""]) -> "PlusValue":
        """The same, with the policy's objective after this share of the run."""
        return PlusValue(self.objective.at(progress), self.coefficient)

    def __call__(self, policy, batch: Batch) -> tuple[Float[Array, ""], Info]:
        """The objective of a policy with two heads, and what else was learnt on the way."""
        distribution, value = policy.both(batch.obs)
        gain, info = self.objective.of(distribution, batch)
        assert batch.value_target is not None
        target = jax.lax.stop_gradient(batch.value_target)
        # A target that does not count may be NaN, and 0 × NaN would be NaN in the gradient.
        error = jnp.where(batch.weight > 0, value - target, 0)
        loss = 0.5 * weighted_mean(jnp.square(error), batch.weight)
        return gain - self.coefficient * loss, info | {"value_loss": loss}
