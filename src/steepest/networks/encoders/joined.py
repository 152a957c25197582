"""Encoders of trees of observations."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steepest.core.spaces import MaskedObservation
from steepest.core.types import PyTree
from steepest.networks.encoders.encoder import AbstractEncoder


class JoinedEncoder(AbstractEncoder):
    """An encoder for each array of an observation; what they make of it stands in a line. A mask has none.

    - `encoders`: in the order of the leaves of the space, which is that of `jax.tree.leaves`.
    """

    encoders: tuple[AbstractEncoder, ...]

    @property
    def size(self) -> int:
        return sum(each.size for each in self.encoders)

    def __call__(self, obs: PyTree) -> Float[Array, "*batch F"]:
        seen = obs.observation if isinstance(obs, MaskedObservation) else obs
        arrays = jax.tree.leaves(seen)
        return jnp.concatenate([each(one) for each, one in zip(self.encoders, arrays, strict=True)], axis=-1)
