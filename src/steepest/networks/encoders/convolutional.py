"""Encoders of pictures: the networks of Mnih et al. (2015) and of Espeholt et al. (2018)."""

import abc
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Shaped

from steepest.core.spaces import Box
from steepest.core.types import AnyArray
from steepest.networks.dense import Dense
from steepest.networks.encoders.convolution import Convolution, largest_nearby
from steepest.networks.encoders.encoder import AbstractEncoder
from steepest.networks.encoders.pictures import Layout, scaled

SMALLEST = 36
"""The side of the smallest picture, in pixels, on which the three convolutions of Mnih et al. leave one pixel."""
_TOGETHER = 8
"""So many pictures go through the convolutions at a time: what more of them leave would not stay in a CPU's cache."""


class AbstractPictureEncoder(AbstractEncoder):
    """From pictures to features: scaled once, through convolutions, and through a dense layer with a ReLU.

    Batch axes are merged, so that one product serves all pictures.
    """

    space: eqx.AbstractVar[Box]
    layout: eqx.AbstractVar[Layout]
    dense: eqx.AbstractVar[Dense]

    @property
    def size(self) -> int:
        return self.dense.biases[-1].shape[0]

    def __call__(self, obs: Shaped[AnyArray, "..."]) -> Float[Array, "*batch F"]:
        batch = obs.shape[: obs.ndim - len(self.space.shape)]
        rows = jnp.asarray(obs).reshape(-1, *self.space.shape)
        whole = rows.shape[0] // _TOGETHER * _TOGETHER
        if whole == rows.shape[0] > _TOGETHER:
            hidden = jax.lax.map(self._some, rows.reshape(-1, _TOGETHER, *self.space.shape)).reshape(whole, -1)
        else:
            hidden = self._some(rows)
        return self.dense(hidden).reshape(*batch, self.size)

    def _some(self, rows: Shaped[Array, "b ..."]) -> Float[Array, "b n"]:
        hidden = self.convolved(rows)
        return hidden.reshape(hidden.shape[0], -1)

    def scaled(self, pictures: Shaped[Array, "..."]) -> Float[Array, "..."]:
        """Pictures from 0 to 1. Where they are moved too, that comes first: scaled bytes are four times as large."""
        return scaled(self.space, pictures).astype(self.dense.weights[0].dtype)

    @abc.abstractmethod
    def convolved(self, rows: Shaped[Array, "B ..."]) -> Float[Array, "B m n o"]:
        """What the convolutions make of pictures as they are observed."""


class NatureEncoder(AbstractPictureEncoder):
    """The convolutions of Mnih et al. (2015): 32 of 8 × 8 at stride 4, 64 of 4 × 4 at 2, 64 of 3 × 3, and 512 features.

    Of a picture with a side below 36 pixels these would leave nothing. It gets two convolutions of 3 × 3, 16 and 32,
    and 128 features; the first has stride 2 where a side is above 12 pixels, the second where it is above 20, and
    a kernel is never larger than what it is put on.

    **Reference** Mnih et al., *Human-level control through deep reinforcement learning*, 2015.
    """

    space: Box = eqx.field(static=True)
    layout: Layout = eqx.field(static=True)
    convolutions: tuple[Convolution, ...]
    dense: Dense

    @classmethod
    def initial(cls, key: Key[Array, ""], space: Box, layout: Layout) -> "NatureEncoder":
        """Draw one: orthogonal weights of gain √2, biases of 0."""
        shape, side = layout.shape, max(layout.shape[:2])
        layers, features = ((32, 8, 4), (64, 4, 2), (64, 3, 1)), 512
        if min(layout.shape[:2]) < SMALLEST:
            layers, features = ((16, 3, 1 + (side > 12)), (32, 3, 1 + (side > 20))), 128
        *keys, for_dense = jax.random.split(key, len(layers) + 1)
        convolutions = []
        for each, (outputs, kernel, stride) in zip(keys, layers, strict=True):
            size = min(kernel, shape[0]), min(kernel, shape[1])
            convolutions.append(Convolution.initial(each, shape[2], outputs, size, stride=stride))
            shape = convolutions[-1].output_shape(shape)
        dense = _last(for_dense, shape, features)
        return cls(space=space, layout=layout, convolutions=tuple(convolutions), dense=dense)

    def convolved(self, rows: Shaped[Array, "B ..."]) -> Float[Array, "B m n o"]:
        first, *others = self.convolutions
        hidden = jax.nn.relu(first.between_channels(self.layout.between_channels(rows), self.scaled))
        for each in others:
            hidden = jax.nn.relu(each(hidden))
        return hidden


class ImpalaEncoder(AbstractPictureEncoder):
    """The small residual network of Espeholt et al. (2018), without their LSTM: 256 features.

    Three sections of 16, 32 and 32 channels: a convolution of 3 × 3, the largest of 3 × 3 neighbours at every other
    place, and two residual blocks of two convolutions each.

    **Reference** Espeholt et al., *IMPALA: Scalable Distributed Deep-RL with Importance Weighted Actor-Learner
    Architectures*, 2018, figure 3.
    """

    space: Box = eqx.field(static=True)
    layout: Layout = eqx.field(static=True)
    sections: tuple[tuple[Convolution, ...], ...]
    dense: Dense

    @classmethod
    def initial(cls, key: Key[Array, ""], space: Box, layout: Layout) -> "ImpalaEncoder":
        """Draw one: orthogonal weights of gain √2, biases of 0."""
        *keys, for_dense = jax.random.split(key, 4)
        depths = (layout.shape[2], 16, 32, 32)
        sections = []
        for each, (before, after) in zip(keys, itertools.pairwise(depths), strict=True):
            channels = zip(jax.random.split(each, 5), (before, *[after] * 4), strict=True)
            sections.append(tuple(Convolution.initial(one, depth, after, (3, 3), same=True) for one, depth in channels))
        height, width = (-(-side // 8) for side in layout.shape[:2])
        dense = _last(for_dense, (height, width, depths[-1]), 256)
        return cls(space=space, layout=layout, sections=tuple(sections), dense=dense)

    def convolved(self, rows: Shaped[Array, "B ..."]) -> Float[Array, "B m n o"]:
        pictures = self.scaled(self.layout.arranged(rows))
        for first, *blocks in self.sections:
            pictures = largest_nearby(first(pictures))
            for one, other in _pairs(blocks):
                pictures = pictures + other(jax.nn.relu(one(jax.nn.relu(pictures))))
        return jax.nn.relu(pictures)


def _pairs(blocks: list[Convolution]) -> list[tuple[Convolution, Convolution]]:
    return list(zip(blocks[::2], blocks[1::2], strict=True))


def _last(key: Key[Array, ""], shape: tuple[int, int, int], features: int) -> Dense:
    inputs = shape[0] * shape[1] * shape[2]
    return Dense.initial(key, (inputs, features), activation="relu", output_scale=2**0.5, activate_output=True)
