"""Encoders: how an observation enters a network."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steepest.core.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space
from steepest.core.types import AnyArray


class AbstractEncoder(eqx.Module):
    """The first part of a network: from an observation to features. Array leaves are parameters."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """How many features there are."""

    @abc.abstractmethod
    def __call__(self, obs: AnyArray) -> Float[Array, "*batch F"]:
        """The features of each observation; leading axes are batch axes."""


class FlatEncoder(AbstractEncoder):
    """An observation laid flat, without parameters: choices one-hot, arrays in a line.

    - `space`: of the observations.
    """

    space: Space = eqx.field(static=True)

    @property
    def size(self) -> int:
        return feature_count(self.space)

    def __call__(self, obs: AnyArray) -> Float[Array, "*batch F"]:
        return features(self.space, obs)


def feature_count(space: Space) -> int:
    """How many numbers `features` makes of one observation of `space`."""
    match space:
        case Discrete(n=n):
            return n
        case MultiDiscrete(nvec=nvec):
            return sum(nvec)
        case MultiBinary(n=n):
            return n
        case Box(shape=shape):
            return math.prod(shape)


def features(space: Space, obs: AnyArray) -> Float[Array, "*batch F"]:
    """An observation as the numbers that a network takes: choices one-hot, arrays laid flat.

    In single precision, unless the observation is in double.
    """
    match space:
        case Discrete(n=n):
            return jax.nn.one_hot(obs, n, dtype=jnp.float32)
        case MultiDiscrete(nvec=nvec):
            parts = [jax.nn.one_hot(obs[..., index], n, dtype=jnp.float32) for index, n in enumerate(nvec)]
            return jnp.concatenate(parts, axis=-1)
        case MultiBinary():
            return jnp.asarray(obs, jnp.float32)
        case Box(shape=shape):
            batch = obs.shape[: obs.ndim - len(shape)]
            numbers = jnp.asarray(obs)
            numbers = numbers if numbers.dtype == jnp.float64 else numbers.astype(jnp.float32)
            return numbers.reshape(*batch, math.prod(shape))
