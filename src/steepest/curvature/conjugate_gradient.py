"""The conjugate-gradient method, with an estimate of the condition number."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Solution(eqx.Module):
    """The solution of $Fx = g$ by conjugate gradients.

    - `x`: the solution.
    - `iterations`: the number of iterations, each one product with F.
    - `residual`: $\\lVert g - Fx\\rVert / \\lVert g\\rVert$, as the recursion has it.
    - `condition`: the largest by the smallest eigenvalue of F as seen from g, a lower bound of the condition of F.
    """

    x: Float[Array, " P"]
    iterations: Int[Array, ""]
    residual: Float[Array, ""]
    condition: Float[Array, ""]


def conjugate_gradient(
    product: Callable[[Float[Array, " P"]], Float[Array, " P"]],
    g: Float[Array, " P"],
    *,
    iterations: int,
    tolerance: float = 1e-6,
) -> Solution:
    r"""Solve $Fx = g$ for a positive definite F given by its products.

    The k-th iterate is the best in the span of $g, Fg, \dots, F^{k-1}g$. The coefficients of the recursion are those of
    Lanczos' tridiagonal matrix, whose extreme eigenvalues approach those of F and give the condition at no extra cost.

    **Arguments**

    - `product`: $v \mapsto Fv$.
    - `iterations`: the largest number of iterations.
    - `tolerance`: of the residual relative to g, at which to stop.

    **Example**

    >>> solution = conjugate_gradient(lambda v: jnp.array([1.0, 4.0]) * v, jnp.array([2.0, 4.0]), iterations=5)
    >>> print(solution.x.round(4), int(solution.iterations), solution.condition.round(3))
    [2. 1.] 2 4.0

    **Reference** Hestenes and Stiefel, *Methods of Conjugate Gradients for Solving Linear Systems*, 1952; the
    eigenvalues: Golub and Van Loan, *Matrix Computations*, 4th edition, 2013, section 11.3.
    """
    start = jnp.dot(g, g)
    enough = tolerance**2 * start

    def goes_on(loop) -> Array:
        index, _, _, _, square, _ = loop
        return (index < iterations) & (square > enough)

    def once_more(loop):
        index, x, residual, direction, square, lanczos = loop
        curved = product(direction)
        length = square / jnp.dot(direction, curved)
        x, residual = x + length * direction, residual - length * curved
        next_square = jnp.dot(residual, residual)
        ratio = next_square / square
        lanczos = lanczos.at[:, index].set(jnp.stack([length, ratio]))
        return index + 1, x, residual, residual + ratio * direction, next_square, lanczos

    loop = (jnp.zeros((), jnp.int32), jnp.zeros_like(g), g, g, start, jnp.zeros((2, iterations), g.dtype))
    index, x, _, _, square, lanczos = jax.lax.while_loop(goes_on, once_more, loop)
    residual = jnp.sqrt(square / jnp.where(start > 0, start, 1))
    return Solution(x, index, residual, _condition(lanczos, index))


def _condition(lanczos: Float[Array, "2 k"], count: Int[Array, ""]) -> Float[Array, ""]:
    """The ratio of the extreme eigenvalues of Lanczos' tridiagonal matrix."""
    lengths, ratios = lanczos
    made = jnp.arange(lengths.shape[0], dtype=jnp.int32) < count
    inverse = jnp.where(made, 1 / jnp.where(made, lengths, 1), 0)
    before = jnp.concatenate([jnp.zeros(1, inverse.dtype), (ratios * inverse)[:-1]])
    diagonal = inverse + jnp.where(made, before, 0)
    # Rows that were not made repeat the first eigenvalue bound, so that they are never the extreme ones.
    diagonal = jnp.where(made, diagonal, diagonal[0])
    beside = jnp.where(made[1:], jnp.sqrt(jnp.maximum(ratios, 0))[:-1] * inverse[:-1], 0)
    values = jnp.linalg.eigvalsh(jnp.diag(diagonal) + jnp.diag(beside, 1) + jnp.diag(beside, -1))
    return jnp.where(count > 0, values[-1] / jnp.where(values[0] > 0, values[0], jnp.nan), 1)
