"""What objectives on sampled actions have in common, and how several become one."""

import abc

import equinox as eqx
from jaxtyping import Array, Float

from steepest.core.distributions import AbstractDistribution
from steepest.core.problem import Info
from steepest.core.trajectory import Batch


class AbstractObjective(eqx.Module):
    """A function `(policy, batch) -> (scalar, info)` that is made larger, and sees the policy's distributions only."""

    def __call__(self, policy, batch: Batch) -> tuple[Float[Array, ""], Info]:
        """The objective of a policy, and what else was learnt on the way."""
        return self.of(policy(batch.obs), batch)

    def at(self, progress: Float[Array, ""]) -> "AbstractObjective":
        """The objective after this share of the run, from 0 to 1, for those that change on the way."""
        return self

    @abc.abstractmethod
    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        """The same, where the policy was evaluated already."""


class Sum(AbstractObjective):
    """Several objectives at once, on one evaluation of the policy."""

    terms: tuple[AbstractObjective, ...]

    def at(self, progress: Float[Array, ""]) -> "Sum":
        return Sum(tuple(term.at(progress) for term in self.terms))

    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        (total, info), *others = [term.of(distribution, batch) for term in self.terms]
        for value, more in others:
            total, info = total + value, info | more
        return total, info
