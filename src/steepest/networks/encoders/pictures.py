"""Pictures: their scale, and which of their axes is which."""

import dataclasses
import math
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from steepest.core.errors import InputError
from steepest.core.spaces import Box, is_picture
from steepest.core.types import AnyArray

ChannelsName = Literal["auto", "first", "last"]
_CHANNELS = (1, 3, 4)
"""Grey, colour, and colour with transparency, or four frames."""


def scaled(space: Box, obs: Shaped[AnyArray, "..."]) -> Float[Array, "..."]:
    """A picture in single precision, from 0 to 1: bytes over 255, or whatever the bounds of `space` are.

    This is the one place where pictures are scaled. What is no picture by its space stays as it is.

    >>> scaled(Box(0, 255, (1, 1, 3), dtype=np.uint8), np.array([[[0, 51, 255]]], np.uint8))
    Array([[[0. , 0.2, 1. ]]], dtype=float32)
    """
    numbers = jnp.asarray(obs)
    numbers = numbers if numbers.dtype == jnp.float64 else numbers.astype(jnp.float32)
    if not is_picture(space):
        return numbers
    low, high = bounds_of_picture(space)
    moved = numbers - low if low else numbers
    return moved * np.asarray(1 / (high - low), numbers.dtype)


def bounds_of_picture(space: Box) -> tuple[float, float]:
    """What becomes 0 and what becomes 1: the bounds of the space, or those of bytes where it has none."""
    low, high = np.min(space.low).item(), np.max(space.high).item()
    return (low, high) if np.isfinite(high - low) else (0.0, 255.0)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a picture has its height and width, and in which order the rest becomes its channels.

    - `height`, `width`: the axes, counted without batch axes.
    - `channels`: the other axes, the outermost first.
    - `shape`: of the picture as a network takes it: height, width, channels.
    """

    height: int
    width: int
    channels: tuple[int, ...]
    shape: tuple[int, int, int]

    @classmethod
    def of(
        cls, space: Box, channels: ChannelsName = "auto", frame_stack: int = 1, whose: str = "observations"
    ) -> "Layout":
        """The layout of a space of pictures.

        Three axes are height and width, and channels before or after them, as `channels` says. Left to the space, they
        are at the end that has 1, 3 or 4, where the other has not. With a fourth axis before those, or where frames
        are stacked, the first are frames, which become channels too.

        **Raises** `InputError` where both ends could be the channels, or neither could.

        >>> Layout.of(Box(0, 255, (4, 84, 84))).shape, Layout.of(Box(0, 255, (210, 160, 3))).shape
        ((84, 84, 4), (210, 160, 3))
        """
        axes = tuple(range(len(space.shape)))
        frames, rest = (axes[:1], axes[1:]) if frame_stack > 1 or len(axes) == 4 else ((), axes)
        if len(rest) == 2:
            own, (height, width) = (), rest
        else:
            last = cls._channels_last(space.shape[rest[0]], space.shape[rest[-1]], channels, f"{whose} are {space}")
            own, (height, width) = (rest[-1:], rest[:2]) if last else (rest[:1], rest[1:])
        depth = int(np.prod([space.shape[axis] for axis in frames + own]))
        return cls(height, width, frames + own, (space.shape[height], space.shape[width], depth))

    @staticmethod
    def _channels_last(before: int, after: int, channels: ChannelsName, words: str) -> bool:
        if channels != "auto":
            return channels == "last"
        first, last = before in _CHANNELS, after in _CHANNELS
        if first == last:
            raise InputError(
                f"channels: {words}, and {'either' if first else 'neither'} end could be the channels of a picture. "
                "Say which with --channels first or --channels last (channels= in Python), or take --encoder mlp."
            )
        return last

    def between_channels(self, obs: Shaped[Array, "B ..."]) -> Shaped[Array, "B a h w b"]:
        """Pictures as they lie, with the channels before their height in one axis and those after it in another."""
        before = math.prod(obs.shape[1 : self.height + 1])
        return obs.reshape(obs.shape[0], before, *self.shape[:2], self.shape[2] // before)

    def arranged(self, obs: Shaped[Array, "B ..."]) -> Shaped[Array, "B h w c"]:
        """Pictures with the channels last."""
        order = (self.height, self.width, *self.channels)
        if order != tuple(range(len(order))):
            obs = jnp.transpose(obs, (0, *(axis + 1 for axis in order)))
        return obs.reshape(obs.shape[0], *self.shape)
