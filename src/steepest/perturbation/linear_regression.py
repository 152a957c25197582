"""Gradients by linear regression on random perturbations (G2)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.validation import check_number
from steepest.perturbation.perturbation import AbstractPerturbation


class Regression(AbstractPerturbation):
    r"""Linear regression of J on random perturbations of all parameters: $\nabla J \approx \Delta\Theta^{+}\,\Delta J$.

    With at least as many perturbations as parameters that is least squares; with fewer, the
    minimum-norm solution, which is the gradient projected on the perturbed directions.

    **Arguments**

    - `perturbations`: m ≥ 1 rows of $\Delta\Theta \sim N(0, \delta^2)$; one more evaluation, at the parameters
      themselves, is what the differences are taken to.
    - `deviation`: $\delta > 0$, in units of the parameters.

    **Example**

    >>> regression = Regression(perturbations=8, deviation=0.1)
    >>> offsets = regression.offsets(jax.random.key(0), 2)
    >>> print(jnp.round(regression.gradient(offsets, 5 + 3 * offsets[:, 0] - offsets[:, 1]), 2))
    [ 3. -1.]

    **Reference** Peters and Schaal, *Policy Gradient Methods for Robotics*, 2006, section II.
    """

    perturbations: int = eqx.field(static=True, default=64)
    deviation: float | Float[Array, ""] = 0.1

    def __check_init__(self):
        check_number(
            "perturbations", self.perturbations, at_least=1, whole=True, remedy="Twice the parameters is good."
        )
        check_number("deviation", self.deviation, above=0, remedy="0.01 to 1 are usual.")

    def count(self, size: int) -> int:
        return self.perturbations + 1

    def offsets(self, key: Key[Array, ""], size: int) -> Float[Array, "M P"]:
        drawn = self.deviation * jax.random.normal(key, (self.perturbations, size))
        return jnp.concatenate([jnp.zeros((1, size)), drawn])

    def gradient(self, offsets: Float[Array, "M P"], performance: Float[Array, " M"]) -> Float[Array, " P"]:
        moves, gains = offsets[1:], performance[1:] - performance[0]
        return jnp.linalg.lstsq(moves, gains)[0]
