"""The natural-gradient direction (S3)."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from steepest.core.problem import AbstractProblem, Info, Parameters
from steepest.core.validation import check_number
from steepest.curvature.conjugate_gradient import conjugate_gradient


class Direction(eqx.Module):
    """The natural-gradient direction $x = F_\\lambda^{-1} g$, with its slope and curvature.

    - `slope`: $g^\\top x$, the first-order gain of the objective per unit of step.
    - `damped_curvature`, `curvature`: $x^\\top F_\\lambda x$ and $x^\\top F x$, twice the KL per unit of step squared.
    """

    x: Float[Array, " P"]
    slope: Float[Array, ""]
    damped_curvature: Float[Array, ""]
    curvature: Float[Array, ""]
    info: Info

    def length(self, radius: float | Float[Array, ""]) -> Float[Array, ""]:
        r"""The step size $\sqrt{2\epsilon / x^\top F_\lambda x}$ for $\tfrac12\Delta^\top F_\lambda\Delta = \epsilon$.

        With an exact solve $x^\top F_\lambda x = g^\top F_\lambda^{-1} g$. A direction of no curvature has length 0.
        """
        positive = self.damped_curvature > 0
        return jnp.where(positive, jnp.sqrt(2 * radius / jnp.where(positive, self.damped_curvature, 1)), 0)


class NaturalDirection(eqx.Module):
    r"""The natural gradient $x = (F + \lambda I)^{-1} g$, F the Fisher information of the policy that gave the data.

    **Arguments**

    - `damping`: $\lambda \ge 0$, in units of the Fisher information; it bounds the condition, and bends x towards g.
    - `solver`: `conjugate_gradient` needs products only; `dense` builds the matrix, for some hundred parameters, and
      leaves out directions without curvature, so that damping may be 0.
    - `iterations`, `tolerance`: of conjugate gradients.
    - `fisher`: `exact`, $J^\top H J$ with the metric of each distribution in closed form; or `empirical`, the mean
      outer product of the scores of the actions that were taken.
    - `rows`: estimate the Fisher information from about so many rows only; `None` takes all.

    **Reference** Amari, *Natural Gradient Works Efficiently in Learning*, 1998; Kakade, *A Natural Policy Gradient*,
    2001; conjugate gradients: Schulman et al., *Trust Region Policy Optimization*, 2015, appendix C.
    """

    damping: float | Float[Array, ""] = 0.1
    solver: Literal["conjugate_gradient", "dense"] = eqx.field(static=True, default="conjugate_gradient")
    iterations: int = eqx.field(static=True, default=10)
    tolerance: float = eqx.field(static=True, default=1e-5)
    fisher: Literal["exact", "empirical"] = eqx.field(static=True, default="exact")
    rows: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        check_number("damping", self.damping, at_least=0, remedy="0.01 to 0.1 are usual.")
        check_number("conjugate-gradient iterations", self.iterations, at_least=1, whole=True, remedy="10 is usual.")
        check_number("conjugate-gradient tolerance", self.tolerance, at_least=0, remedy="1e-5 is usual.")
        check_number("fisher_rows", self.rows, at_least=1, whole=True, remedy="A quarter of the rows is usual.")

    def __call__(
        self, problem: AbstractProblem[Parameters], policy: Parameters, gradient: Float[Array, " P"]
    ) -> Direction:
        """The direction for a `gradient` at `policy`, both in the order of `ravel_pytree`.

        `info` holds `cg_iterations` and `cg_residual` (0 of the dense solver), and `fisher_condition`, of the damped
        Fisher information: an estimate from below with conjugate gradients.
        """
        _, unravel = ravel_pytree(policy)
        some = problem if self.rows is None else problem.thinned(self.rows)
        # The operator holds one linearisation of the policy, which all products share.
        operator = some.fisher(policy) if self.fisher == "exact" else some.empirical_fisher(policy)

        def product(v):
            return ravel_pytree(operator.mv(unravel(v)))[0]

        def damped(v):
            return product(v) + self.damping * v

        if self.solver == "dense":
            x, info = self._dense(product, gradient)
        else:
            found = conjugate_gradient(damped, gradient, iterations=self.iterations, tolerance=self.tolerance)
            x = found.x
            info = {
                "cg_iterations": found.iterations.astype(jnp.float32),
                "cg_residual": found.residual,
                "fisher_condition": found.condition,
            }
        curvature = jnp.dot(x, product(x))
        return Direction(x, jnp.dot(gradient, x), curvature + self.damping * jnp.dot(x, x), curvature, info)

    def _dense(self, product, gradient: Float[Array, " P"]) -> tuple[Float[Array, " P"], Info]:
        matrix = jax.vmap(product)(jnp.eye(gradient.shape[0], dtype=gradient.dtype))
        values, vectors = jnp.linalg.eigh((matrix + matrix.T) / 2)
        damped = values + self.damping
        # What is a rounding error beside the largest is no curvature: the policy does not change along it.
        kept = damped > 10 * gradient.shape[0] * jnp.finfo(gradient.dtype).eps * jnp.max(damped)
        share = jnp.where(kept, 1 / jnp.where(kept, damped, 1), 0)
        zero = jnp.zeros((), gradient.dtype)
        condition = jnp.max(damped) * jnp.max(share)
        return vectors @ (share * (gradient @ vectors)), {
            "cg_iterations": zero,
            "cg_residual": zero,
            "fisher_condition": condition,
        }
