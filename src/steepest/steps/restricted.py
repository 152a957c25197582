"""The gradient, as far as a radius in parameter space allows (S2)."""

import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from steepest.core.interfaces import AbstractStepRule
from steepest.core.problem import AbstractMaximisation, Info, Parameters
from steepest.core.types import PyTree
from steepest.core.validation import check_number


class Restricted(AbstractStepRule):
    r"""$\max g^\top\Delta$ subject to $\tfrac12\lVert\Delta\rVert^2 \le \epsilon$, so
    $\Delta = \sqrt{2\epsilon / g^\top g}\;g$.

    Every step is equally long, however flat the objective; a gradient of 0 moves nothing.

    **Arguments**

    - `radius`: $\epsilon > 0$, half the square of the length of the step in parameter space.

    `info` holds the problem's own, the `objective` before the step and the `gradient_norm`.
    """

    radius: float | Float[Array, ""]

    def __check_init__(self):
        check_number("radius", self.radius, above=0, remedy="1e-3 is usual.")

    def init(self, parameters: PyTree) -> None:
        return None

    def step(
        self, key: Key[Array, ""], parameters: Parameters, problem: AbstractMaximisation, state: None
    ) -> tuple[Parameters, None, Info]:
        vector, unravel = ravel_pytree(parameters)
        tree, info = problem.gradient(parameters)
        gradient = ravel_pytree(tree)[0]
        norm = jnp.sqrt(jnp.sum(jnp.square(gradient)))
        change = jnp.sqrt(2 * jnp.asarray(self.radius, vector.dtype)) * gradient / jnp.where(norm == 0, 1, norm)
        return unravel(vector + change), None, info | {"gradient_norm": norm}
