"""The regression that fits a critic to its targets."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

import steepest._platform  # noqa: F401
from steepest.core.problem import AbstractMaximisation, Info, weighted_mean
from steepest.core.types import AnyArray


class ValueRegression(AbstractMaximisation[Callable[..., Array]]):
    """Least squares, as something to be made larger: $-\\tfrac12\\,\\mathrm{mean}\\,(V_\\phi(s) - y)^2$, or with
    $Q_\\phi(s,a)$.

    The targets $y$ are constants, whatever they were made of: returns (C1), bootstrapped values (C2, C3), or what a
    target network says of the next action (C4).

    - `inputs`: what the critic is called with: observations, or observations and actions.
    - `weight`: 1 for a row that counts, 0 for one that does not, even when its target is NaN.
    """

    inputs: tuple[Shaped[AnyArray, "B ..."], ...]
    target: Float[Array, " B"]
    weight: Float[Array, " B"]

    @property
    def size(self) -> int:
        return self.target.shape[0]

    def minibatch(self, indices: Int[Array, " M"]) -> "ValueRegression":
        return jax.tree.map(lambda rows: rows[indices], self)

    def evaluate(self, parameters: Callable[..., Array]) -> tuple[Float[Array, ""], Info]:
        error = parameters(*self.inputs) - jax.lax.stop_gradient(self.target)
        # Before the square: the derivative of a square that is thrown away later is still 0 × NaN.
        error = jnp.where(self.weight > 0, error, 0)
        return -0.5 * weighted_mean(jnp.square(error), self.weight), {}
