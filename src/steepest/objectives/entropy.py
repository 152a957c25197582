"""A bonus for staying undecided."""

from jaxtyping import Array, Float

from steepest.core.distributions import AbstractDistribution
from steepest.core.problem import Info, weighted_mean
from steepest.core.trajectory import Batch
from steepest.objectives.objective import AbstractObjective, Sum


class Entropy(AbstractObjective):
    """`coefficient` × mean entropy of the policy at the states of the batch, in nats."""

    coefficient: float | Float[Array, ""]

    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        return self.coefficient * weighted_mean(distribution.entropy(), batch.weight), {}


def plus_entropy(objective: AbstractObjective, coefficient: float | Float[Array, ""]) -> AbstractObjective:
    """An objective with an entropy bonus; without one where the coefficient is known to be 0, which saves its cost."""
    if isinstance(coefficient, float | int) and coefficient == 0:
        return objective
    return Sum((objective, Entropy(coefficient)))
