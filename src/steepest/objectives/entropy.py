"""A bonus for staying undecided."""

import equinox as eqx
from jaxtyping import Array, Float

import steepest._platform  # noqa: F401
from steepest.core.problem import Info, Objective, weighted_mean
from steepest.core.trajectory import Batch


class Entropy(eqx.Module):
    """`coefficient` × mean entropy of the policy at the states of the batch, in nats."""

    coefficient: float | Float[Array, ""]

    def __call__(self, policy, batch: Batch) -> tuple[Float[Array, ""], Info]:
        """Return the bonus."""
        return self.coefficient * weighted_mean(policy(batch.obs).entropy(), batch.weight), {}


class Sum(eqx.Module):
    """Several objectives at once. Each evaluates the policy; the compiler sees that it is the same evaluation."""

    terms: tuple[Objective, ...]

    def __call__(self, policy, batch: Batch) -> tuple[Float[Array, ""], Info]:
        """Add the objectives and join their infos."""
        results = [term(policy, batch) for term in self.terms]
        info: Info = {}
        for _, each in results:
            info |= each
        total = results[0][0]
        for value, _ in results[1:]:
            total = total + value
        return total, info
