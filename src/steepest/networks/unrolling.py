"""A recurrent cell over many steps, with a derivative that leaves little to do step by step."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from steepest.core.histories import select
from steepest.core.types import PyTree
from steepest.networks.recurrent_cells import AbstractMemory, Slopes


@jax.custom_jvp
def unrolled(
    memory: AbstractMemory, projected: Float[Array, "T N G"], begins: Bool[Array, "T N"], carry: PyTree
) -> PyTree:
    r"""The memory after every step, [T, N, …] each.

    JAX would take the derivative step by step, and add up the gradient of the weights in T small products. But a cell
    combines its arguments number by number, so the derivative of a step is

    $$\dot c_t = u_t + a_t \odot \dot c_{t-1} + b_t \odot (\dot h_{t-1} U)$$

    with $u_t$, $a_t$ and $b_t$ that are made for all steps at once, as is the gradient of U. What remains is one small
    product for each step, forwards and backwards. Derivatives of it are exact too, to any order.

    **Arguments**

    - `projected`: what the inputs bring to the gates.
    - `begins`: where an episode begins, and memory is put back to its start before the step.
    - `carry`: the memory before the first step, [N, …].
    """
    first = memory.initial_carry((projected.shape[1],))

    def step(carry: PyTree, row: tuple[Array, Array]) -> tuple[PyTree, PyTree]:
        projected, begins = row
        carry = memory.advance(select(begins, first, carry), projected)
        return carry, carry

    return jax.lax.scan(step, carry, (projected, begins))[1]


@unrolled.defjvp
def _unrolled_jvp(primals: tuple, tangents: tuple) -> tuple[PyTree, PyTree]:
    memory, projected, begins, carry = primals
    memory_dot, projected_dot, _, carry_dot = tangents
    carries = unrolled(*primals)
    before = jax.tree.map(lambda start, after: jnp.concatenate([start[None], after[:-1]]), carry, carries)
    before = jax.vmap(select)(begins, memory.initial_carry(begins.shape), before)
    recalled, recalled_dot = jax.jvp(lambda each: each.recalled(before), (memory,), (memory_dot,))
    slopes = memory.slopes(before, projected, recalled)

    def own(slopes: Slopes) -> Array:
        return _by_gates(slopes.projected, projected_dot) + _by_gates(slopes.recalled, recalled_dot)

    def step(dot: PyTree, row: tuple[Array, PyTree, PyTree]) -> tuple[PyTree, PyTree]:
        begins, own, slopes = row
        dot = select(begins, jax.tree.map(jnp.zeros_like, dot), dot)
        kept_dot, recalled_dot = memory.kept(dot), memory.output(dot) @ memory.weight
        dot = _each(lambda slopes, own: own + slopes.kept * kept_dot + _by_gates(slopes.recalled, recalled_dot))(
            slopes, own
        )
        return dot, dot

    return carries, jax.lax.scan(step, carry_dot, (begins, _each(own)(slopes), slopes))[1]


def _each(function):
    """The function of every array of a memory, whose `Slopes` come first."""
    return lambda *trees: jax.tree.map(function, *trees, is_leaf=lambda node: isinstance(node, Slopes))


def _by_gates(slopes: Float[Array, "*batch gates H"], dot: Float[Array, "*batch G"]) -> Float[Array, "*batch H"]:
    return jnp.sum(slopes * dot.reshape(slopes.shape), axis=-2)
