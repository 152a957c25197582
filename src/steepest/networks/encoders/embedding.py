"""Encoders of choices among many."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from steepest.core.spaces import Discrete
from steepest.core.types import AnyArray
from steepest.networks.encoders.encoder import AbstractEncoder

FEATURES = 64


class EmbeddingEncoder(AbstractEncoder):
    """A row of 64 features for each choice of a `Discrete` space, drawn from a standard normal distribution at first.

    It is what one-hot features and a linear layer compute, and costs no more for many choices than for few.

    >>> EmbeddingEncoder.initial(jax.random.key(0), Discrete(10_000))(jnp.array([7, 9_999])).shape
    (2, 64)
    """

    table: Float[Array, "n F"]

    @classmethod
    def initial(cls, key: Key[Array, ""], space: Discrete) -> "EmbeddingEncoder":
        """Draw the rows."""
        return cls(jax.random.normal(key, (space.n, FEATURES), jnp.float32))

    @property
    def size(self) -> int:
        return self.table.shape[1]

    def __call__(self, obs: Int[AnyArray, "*batch"]) -> Float[Array, "*batch F"]:
        return self.table[obs]
