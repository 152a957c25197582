"""Actor and critic in one objective, for one network with two heads (C5)."""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steepest.core.distributions import AbstractDistribution
from steepest.core.interfaces import Policy
from steepest.core.problem import Info, weighted_mean
from steepest.core.schedules import Number, fixed
from steepest.core.trajectory import Batch
from steepest.core.types import PyTree
from steepest.core.validation import check_number
from steepest.objectives.objective import AbstractObjective


@runtime_checkable
class PolicyWithValue(Protocol):
    """A policy that shares a network with a state value."""

    def both(self, obs: PyTree) -> tuple[AbstractDistribution, Array]:
        """The distributions and the values, [*batch] each."""
        ...


class WithValue(AbstractObjective):
    r"""`objective` $-\;c\,\cdot\tfrac12\,\mathrm{mean}\,(V_\theta(s) - y)^2$, on one evaluation of both heads.

    **Arguments**

    - `objective`: of the policy's distributions.
    - `coefficient`: $c > 0$, in units of the objective per squared unit of return.

    The policy must be a `PolicyWithValue`, and the batch must have its `value_target`. `info` holds the
    `value_loss`, $\tfrac12\,\mathrm{mean}\,(V-y)^2$.

    **Reference** Mnih et al., *Asynchronous Methods for Deep Reinforcement Learning*, 2016, section 4.
    """

    objective: AbstractObjective
    coefficient: Number

    def __check_init__(self):
        check_number("value coefficient", self.coefficient, above=0, remedy="0.5 is usual.")

    @property
    def surrogate(self) -> bool:
        return self.objective.surrogate

    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        """The part of the policy alone."""
        return self.objective.of(distribution, batch)

    def __call__(self, policy: Policy, batch: Batch) -> tuple[Float[Array, ""], Info]:
        if not isinstance(policy, PolicyWithValue):
            raise TypeError("WithValue: the policy has no value head. Share a network, or give the critic a rule.")
        distribution, value = policy.both(batch.obs)
        gain, info = self.objective.of(distribution, batch)
        assert batch.value_target is not None
        target = jax.lax.stop_gradient(batch.value_target)
        # A target that does not count may be NaN, and 0 × NaN would be NaN in the gradient.
        error = jnp.where(batch.weight > 0, value - target, 0)
        loss = 0.5 * weighted_mean(jnp.square(error), batch.weight)
        return gain - fixed("value coefficient", self.coefficient) * loss, info | {"value_loss": loss}
