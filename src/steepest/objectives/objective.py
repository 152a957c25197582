"""What objectives on sampled actions have in common, sums of them, and the entropy bonus."""

import abc

import equinox as eqx
from jaxtyping import Array, Float

from steepest.core.distributions import AbstractDistribution
from steepest.core.interfaces import Policy
from steepest.core.problem import Info, SampledProblem, weighted_mean
from steepest.core.schedules import Number, fixed
from steepest.core.trajectory import Batch


class AbstractObjective(eqx.Module):
    """A function `(policy, batch) -> (scalar, info)` that is maximised, of the policy's distributions.

    `objective + 0.01 * Entropy()` is an objective too.

    - `surrogate`: whether its value means something away from the policy that gathered the data.
    """

    @property
    def surrogate(self) -> bool:
        return True

    def __call__(self, policy: Policy, batch: Batch) -> tuple[Float[Array, ""], Info]:
        """The objective of a policy, and diagnostics by name."""
        return self.of(policy(batch.obs), batch)

    @abc.abstractmethod
    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        """The same, where the policy was evaluated already."""

    def problem(self, batch: Batch, policy: Policy, old: AbstractDistribution | None = None) -> SampledProblem:
        """The problem that a step rule solves: this objective on `batch`, which `policy` has gathered.

        `old` are the distributions of `policy` there, for who has them already.
        """
        return SampledProblem(self, batch, policy(batch.obs) if old is None else old)

    def __add__(self, other: "AbstractObjective") -> "AbstractObjective":
        # A bonus that is known to be 0 leaves the objective, and its cost with it.
        if isinstance(other, Scaled) and isinstance(other.factor, float | int) and other.factor == 0:
            return self
        return Sum((self, other))

    def __rmul__(self, factor: Number) -> "Scaled":
        return Scaled(factor, self)


class Sum(AbstractObjective):
    """The sum of several objectives, on one evaluation of the policy."""

    terms: tuple[AbstractObjective, ...]

    @property
    def surrogate(self) -> bool:
        return all(term.surrogate for term in self.terms)

    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        (total, info), *others = [term.of(distribution, batch) for term in self.terms]
        for value, more in others:
            total, info = total + value, info | more
        return total, info


class Scaled(AbstractObjective):
    """`factor` × an objective."""

    factor: Number
    objective: AbstractObjective

    @property
    def surrogate(self) -> bool:
        return self.objective.surrogate

    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        value, info = self.objective.of(distribution, batch)
        return fixed("factor", self.factor) * value, info


class Entropy(AbstractObjective):
    """The mean entropy of the policy at the states of the batch, in nats: a bonus for staying undecided."""

    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        return weighted_mean(distribution.entropy(), batch.weight), {}
