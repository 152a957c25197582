"""What every way of perturbing parameters can do."""

import abc

import equinox as eqx
from jaxtyping import Array, Float, Key


class AbstractPerturbation(eqx.Module):
    """Where to evaluate J, and what its values there say about the gradient."""

    @abc.abstractmethod
    def count(self, size: int) -> int:
        """M, how many evaluations `size` parameters take."""

    @abc.abstractmethod
    def offsets(self, key: Key[Array, ""], size: int) -> Float[Array, "M P"]:
        """Where to evaluate: what to add to the P = `size` parameters, one row for each evaluation."""

    @abc.abstractmethod
    def gradient(self, offsets: Float[Array, "M P"], performance: Float[Array, " M"]) -> Float[Array, " P"]:
        """The gradient that the performance at those places speaks for."""
