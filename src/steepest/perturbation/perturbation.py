"""The interface of zeroth-order gradient estimates."""

import abc

import equinox as eqx
from jaxtyping import Array, Float, Key


class AbstractPerturbation(eqx.Module):
    """A zeroth-order gradient estimate: where to evaluate J, and the gradient from the values there."""

    @abc.abstractmethod
    def count(self, size: int) -> int:
        """M, the number of evaluations for `size` parameters."""

    @abc.abstractmethod
    def offsets(self, key: Key[Array, ""], size: int) -> Float[Array, "M P"]:
        """The perturbations of the P = `size` parameters, one row for each evaluation."""

    @abc.abstractmethod
    def gradient(self, offsets: Float[Array, "M P"], performance: Float[Array, " M"]) -> Float[Array, " P"]:
        """The gradient estimate from the performance at each perturbation."""
