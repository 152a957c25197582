"""Finite-difference gradients (G1)."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.validation import check_number
from steepest.perturbation.perturbation import AbstractPerturbation


class FiniteDifference(AbstractPerturbation):
    r"""Finite differences, one parameter at a time.

    $$\text{central: } \frac{J(\theta+\delta e_j) - J(\theta-\delta e_j)}{2\delta}, \qquad
      \text{forward: } \frac{J(\theta+\delta e_j) - J(\theta)}{\delta}$$

    The central form takes 2P evaluations and errs by $O(\delta^2)$; the forward one P + 1, and $O(\delta)$. The noise
    of J is divided by δ too: too small a step is as bad as one too large.

    **Arguments**

    - `step`: $\delta > 0$, in units of the parameters.
    - `central`: which of the two.

    **Example**

    >>> import jax
    >>> difference = FiniteDifference(step=0.5)
    >>> offsets = difference.offsets(jax.random.key(0), 2)
    >>> difference.gradient(offsets, 3 * offsets[:, 0] - offsets[:, 1] ** 2)
    Array([3., 0.], dtype=float32)

    **Reference** Spall, *Introduction to Stochastic Search and Optimization*, 2003, chapter 6.
    """

    step: float | Float[Array, ""] = 0.1
    central: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        check_number("finite-difference step", self.step, above=0, remedy="0.01 to 1 are usual.")

    def count(self, size: int) -> int:
        return 2 * size if self.central else size + 1

    def offsets(self, key: Key[Array, ""], size: int) -> Float[Array, "M P"]:
        forward = self.step * jnp.eye(size)
        return jnp.concatenate([forward, -forward if self.central else jnp.zeros((1, size))])

    def gradient(self, offsets: Float[Array, "M P"], performance: Float[Array, " M"]) -> Float[Array, " P"]:
        size = offsets.shape[1]
        gain = performance[:size] - performance[size:]
        return gain / (2 * self.step if self.central else self.step)
