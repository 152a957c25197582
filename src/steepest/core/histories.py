"""What a policy with memory is called with in an update: the rows of whole streams, and where their memory begins."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from steepest.core.types import PyTree


class Histories(eqx.Module):
    """The observations of T steps of N streams, for a policy or a state value with memory.

    In an update, a policy without memory is called with rows of observations, and one with memory with this: its rows,
    in the order of time, and all that its memory has to know of what came before them. Gradients, KLs and Fisher
    products then go through the unrolled memory, and nobody who asks for them needs to know.

    - `obs`: T × N rows, laid end to end: those of all streams at the first step, then at the second.
    - `begins`: whether an episode begins with the row. Memory is put back to its start before it.
    - `carry`: the memory of every stream before its first row, [N, …].
    """

    obs: PyTree
    begins: Bool[Array, " B"]
    carry: PyTree

    @property
    def streams(self) -> int:
        """N."""
        return jax.tree.leaves(self.carry)[0].shape[0]

    @property
    def length(self) -> int:
        """T."""
        return self.begins.shape[0] // self.streams

    def take(self, indices: Int[Array, " M"]) -> "Histories":
        """Some of the streams: all rows of each, in the order of time."""
        if indices.shape[0] % self.length:
            raise ValueError(
                f"{indices.shape[0]} rows are asked for of streams of {self.length} rows each; a policy with memory "
                f"sees whole streams. Ask for a multiple of their rows."
            )
        chosen = indices[: indices.shape[0] // self.length]  # the rows of the first step are the streams themselves
        obs, begins = jax.tree.map(lambda rows: rows[indices], (self.obs, self.begins))
        return Histories(obs, begins, jax.tree.map(lambda each: each[chosen], self.carry))

    def by_step(self, rows: PyTree) -> PyTree:
        """Rows of the history, or what goes with them, as [T, N, …]."""
        return jax.tree.map(lambda leaf: leaf.reshape(self.length, self.streams, *leaf.shape[1:]), rows)

    def successors(self, next_obs: PyTree, carries: PyTree) -> "Histories":
        """What follows each row, seen with the memory that the row left: B streams of one row.

        At the end of an episode that is the memory of that moment, and not the one that the next episode begins with.

        **Arguments**

        - `carries`: the memory after every row, [T × N, …].
        """
        return Histories(next_obs, jnp.zeros_like(self.begins), carries)

    def in_sequences(self, parameters: PyTree, length: int) -> "Histories":
        """The streams cut into sequences of `length` rows, each a stream of its own; see `sequence_rows`.

        **Arguments**

        - `parameters`: a policy or state value with memory. A sequence begins with what it remembers there.
        """
        rows = sequence_rows(self.length, self.streams, length)
        obs, begins = jax.tree.map(lambda each: each[rows], (self.obs, self.begins))

        def starts(first: Array, after: Array) -> Array:
            by_sequence = after.reshape(-1, length, *first.shape)[:-1, -1]
            return jnp.concatenate([first[None], by_sequence]).reshape(-1, *first.shape[1:])

        return Histories(obs, begins, jax.tree.map(starts, self.carry, parameters.carries(self)))

    def unroll(self, step: Callable[[PyTree, PyTree], tuple[PyTree, PyTree]], first: PyTree) -> tuple[PyTree, PyTree]:
        """Step through all rows of every stream.

        **Arguments**

        - `step`: `(carry, obs) -> (output, carry)`, of one row of every stream, [N, …].
        - `first`: the memory at the start of an episode, [N, …].

        **Returns** the output of every row, and the memory after it, [T × N, …] each.
        """

        def once(carry: PyTree, row: tuple[PyTree, Array]):
            obs, begins = row
            output, carry = step(select(begins, first, carry), obs)
            return carry, (output, carry)

        _, found = jax.lax.scan(once, self.carry, self.by_step((self.obs, self.begins)))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)


def select(choose: Bool[Array, " N"], one: PyTree, other: PyTree) -> PyTree:
    """Row by row, `one` where `choose` and `other` elsewhere."""
    return jax.tree.map(lambda a, b: jnp.where(choose.reshape(-1, *[1] * (a.ndim - 1)), a, b), one, other)


def sequence_rows(length: int, streams: int, sequence_length: int) -> Int[Array, " B"]:
    """The rows of T × N that stand where, once every stream is cut into sequences: [L × (T/L · N)], laid end to end.

    >>> sequence_rows(4, 1, 2).tolist()
    [0, 2, 1, 3]
    """
    rows = jnp.arange(length * streams, dtype=jnp.int32).reshape(-1, sequence_length, streams)
    return jnp.swapaxes(rows, 0, 1).reshape(-1)


def streams_of(tree: PyTree) -> int | None:
    """The number of streams whose rows must stay together in the order of time; None where every row stands alone."""
    found = [each.streams for each in jax.tree.leaves(tree, is_leaf=_is_histories) if _is_histories(each)]
    return found[0] if found else None


def take_rows(tree: PyTree, indices: Int[Array, " M"]) -> PyTree:
    """Some of the rows of every array; with `Histories` among them, those of whole streams."""

    def take(each: PyTree) -> PyTree:
        return each.take(indices) if isinstance(each, Histories) else each[indices]

    return jax.tree.map(take, tree, is_leaf=_is_histories)


def observations_of(rows: PyTree) -> PyTree:
    """The observations themselves, with or without a history around them."""
    return rows.obs if isinstance(rows, Histories) else rows


def _is_histories(node: object) -> bool:
    return isinstance(node, Histories)
