"""Observations laid flat: choices one-hot, arrays in a line."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steepest.core.spaces import (
    Box,
    Dict,
    Discrete,
    Mask,
    Masked,
    MultiBinary,
    MultiDiscrete,
    Space,
    Tuple,
    is_picture,
    leaves,
    map_leaves,
)
from steepest.core.types import PyTree
from steepest.networks.encoders.encoder import AbstractEncoder
from steepest.networks.encoders.pictures import scaled


class FlatEncoder(AbstractEncoder):
    """An observation laid flat, without parameters: choices one-hot, arrays in a line.

    - `space`: of the observations.
    """

    space: Space = eqx.field(static=True)

    @property
    def size(self) -> int:
        return feature_count(self.space)

    def __call__(self, obs: PyTree) -> Float[Array, "*batch F"]:
        return features(self.space, obs)


def feature_count(space: Space) -> int:
    """How many numbers `features` makes of one observation of `space`."""
    match space:
        case Discrete(n=n):
            return n
        case MultiDiscrete(nvec=nvec):
            return sum(nvec)
        case Masked(observation=observation):
            return feature_count(observation)
        case Dict() | Tuple():
            return sum(feature_count(leaf) for _, leaf in leaves(space))
        case _:
            return math.prod(space.shape)


def features(space: Space, obs: PyTree) -> Float[Array, "*batch F"]:
    """An observation as the numbers that a network takes: choices one-hot, arrays laid flat, all of a tree in a line.

    A mask is no feature. Pictures are scaled to 0 … 1.

    In single precision, unless the observation is in double.
    """
    match space:
        case Mask():
            raise TypeError("a mask is no feature.")
        case Discrete(n=n):
            return jax.nn.one_hot(obs, n, dtype=jnp.float32)
        case MultiDiscrete(nvec=nvec):
            parts = [jax.nn.one_hot(obs[..., index], n, dtype=jnp.float32) for index, n in enumerate(nvec)]
            return jnp.concatenate(parts, axis=-1)
        case Masked(observation=observation):
            return features(observation, obs.observation)
        case Dict() | Tuple():
            return jnp.concatenate(jax.tree.leaves(map_leaves(features, space, obs)), axis=-1)
        case MultiBinary():
            return jnp.asarray(obs, jnp.float32)
        case Box(shape=shape):
            batch = obs.shape[: obs.ndim - len(shape)]
            if is_picture(space):
                return scaled(space, obs).reshape(*batch, math.prod(shape))
            numbers = jnp.asarray(obs)
            numbers = numbers if numbers.dtype == jnp.float64 else numbers.astype(jnp.float32)
            return numbers.reshape(*batch, math.prod(shape))
