"""Target networks (C6)."""

from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steepest.core.validation import check_number

Tree = TypeVar("Tree")


def polyak(target: Tree, online: Tree, rate: float | Float[Array, ""]) -> Tree:
    r"""Polyak averaging of target parameters: $\bar\phi \leftarrow (1-\tau)\,\bar\phi + \tau\,\phi$.

    A target network that lags behind the critic stabilises its bootstrapped targets.

    **Arguments**

    - `target`, `online`: $\bar\phi$ and $\phi$, trees of one structure. Leaves that are not arrays of real numbers have
      no mean, and come from `online`.
    - `rate`: $\tau \in (0, 1]$, per call. The target lags by about $1/\tau$ calls; 1 copies, bit for bit.

    **Returns** the next target.

    **Raises** `InputError` for a rate outside its bounds.

    **Example**

    >>> polyak(jnp.zeros(2), jnp.array([1.0, 8.0]), 0.25)
    Array([0.25, 2.  ], dtype=float32)

    **Reference** Lillicrap et al., *Continuous control with deep reinforcement learning*, 2016, algorithm 1.
    """
    check_number("rate", rate, above=0, at_most=1, remedy="0.005 is usual; 1 copies.")

    def blend(slow, fast):
        if not eqx.is_inexact_array(slow):
            return fast
        # Not slow + rate·(fast − slow), which at rate 1 misses `fast` by a rounding.
        share = jnp.asarray(rate, slow.dtype)
        return (1 - share) * slow + share * fast

    return jax.tree.map(blend, target, online)
