"""A random order of rows without a sort."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

import steepest._platform  # noqa: F401

_ROUNDS = 4


def shuffled(key: Key[Array, ""], size: int) -> Int[Array, " size"]:
    """The numbers 0 … `size` − 1 in a pseudo-random order.

    Lay them in a rectangle, turn every row by a random amount, then every column, and again: each turn is one-to-one,
    so the whole is, and after a few rounds it is as mixed as minibatches need. Sorting random keys costs twenty
    times as much on a CPU. A size with no rectangle to speak of is sorted after all.

    >>> sorted(shuffled(jax.random.key(0), 12).tolist()) == list(range(12))
    True
    """
    rows = next(divisor for divisor in range(math.isqrt(size), 0, -1) if size % divisor == 0)
    if rows < 4:
        return jax.random.permutation(key, size)
    columns = size // rows
    by_row, by_column = jax.random.split(key)
    turn_rows = jax.random.randint(by_row, (_ROUNDS, rows), 0, columns)
    turn_columns = jax.random.randint(by_column, (_ROUNDS, columns), 0, rows)
    row, column = jnp.divmod(jnp.arange(size, dtype=jnp.int32), columns)
    for turn in range(_ROUNDS):
        column = (column + turn_rows[turn][row]) % columns
        row = (row + turn_columns[turn][column]) % rows
    return row * columns + column
