"""Convolutions of pictures whose channels come last."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Shaped

from steepest.networks.encoders.convolving import convolved

_BYTES = 4
"""In a word, the number that is moved as fast as a byte."""


class Convolution(eqx.Module):
    """A convolution over height and width, whose derivatives CPUs compute fast; see `convolving`.

    With a stride, blocks of stride × stride pixels first become the channels of a smaller picture, and the kernel one
    of stride 1.

    - `kernel`: [height, width, channels, outputs]; orthogonal at first.
    - `bias`: 0 at first.
    - `stride`: pixels between the places where the kernel is put, down and across.
    - `same`: whether a border of zeros is put around the picture, so that at stride 1 it keeps its size.
    """

    kernel: Float[Array, "k l c o"]
    bias: Float[Array, " o"]
    stride: int = eqx.field(static=True, default=1)
    same: bool = eqx.field(static=True, default=False)

    @classmethod
    def initial(
        cls,
        key: Key[Array, ""],
        channels: int,
        outputs: int,
        size: tuple[int, int],
        *,
        stride: int = 1,
        same: bool = False,
        scale: float = math.sqrt(2),
    ) -> "Convolution":
        """Draw one. `size` is that of the kernel: height and width."""
        shape = (math.prod(size) * channels, outputs)
        kernel = jax.nn.initializers.orthogonal(scale)(key, shape, jnp.float32).reshape(*size, channels, outputs)
        return cls(kernel, jnp.zeros(outputs, jnp.float32), stride, same)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Height, width and channels of what comes of a picture of `shape`."""
        size = self.kernel.shape[:2]
        grown = [side + each - 1 if self.same else side for side, each in zip(shape[:2], size, strict=True)]
        height, width = ((side - each) // self.stride + 1 for side, each in zip(grown, size, strict=True))
        return height, width, self.kernel.shape[3]

    def __call__(self, pictures: Float[Array, "B h w c"]) -> Float[Array, "B m n o"]:
        if self.same:
            pictures = jnp.pad(pictures, [(0, 0), *map(_border, self.kernel.shape[:2]), (0, 0)])
        return self.between_channels(pictures[:, None], lambda numbers: numbers)

    def between_channels(
        self, pictures: Shaped[Array, "B a h w b"], scale: Callable[[Array], Array]
    ) -> Float[Array, "B m n o"]:
        """The same, without a border, of pictures that lie as they came: with channels before their height too.

        **Arguments**

        - `pictures`: the channels of the kernel are a × b of them, those of b together.
        - `scale`: what is made of their numbers. It is done last, since bytes are moved four at a time.
        """
        before, after = pictures.shape[1], pictures.shape[4]
        sides = zip(pictures.shape[2:4], self.kernel.shape[:2], strict=True)
        height, width = ((side - each) // self.stride + 1 for side, each in sides)
        kernel = _kernel_in_blocks(self.kernel, self.stride, before)
        down, across, outputs = kernel.shape[0], kernel.shape[1], kernel.shape[-1]
        blocks = _in_blocks(pictures, (height + down - 1, width + across - 1), self.stride)
        size = before * self.stride**2 * after
        found = convolved(scale(blocks).reshape(*blocks.shape[:3], size), kernel.reshape(down, across, size, outputs))
        return found + self.bias[None, None, None]


def _border(side: int) -> tuple[int, int]:
    return (side - 1) // 2, side // 2


def _kernel_in_blocks(kernel: Float[Array, "k l c o"], stride: int, before: int) -> Float[Array, "m n a s s b o"]:
    """A kernel of blocks: its blocks, down and across, and what each is made of, in the order of `_in_blocks`."""
    height, width, channels, outputs = kernel.shape
    down, across = -(-height // stride), -(-width // stride)
    kernel = jnp.pad(kernel, [(0, down * stride - height), (0, across * stride - width), (0, 0), (0, 0)])
    kernel = kernel.reshape(down, stride, across, stride, before, channels // before, outputs)
    return kernel.transpose(0, 2, 4, 1, 3, 5, 6)


def _in_blocks(
    pictures: Shaped[Array, "B a h w b"], count: tuple[int, int], stride: int
) -> Shaped[Array, "B m n a s t"]:
    """Pictures whose pixels are the blocks of stride × stride pixels, `count` of them down and across.

    What is beyond the last block is cut off, and what it lacks is 0.
    """
    rows, before, after = pictures.shape[0], pictures.shape[1], pictures.shape[4]
    sides = [each * stride for each in count]
    more = [(0, max(0, side - each)) for side, each in zip(sides, pictures.shape[2:4], strict=True)]
    pictures = jnp.pad(pictures, [(0, 0), (0, 0), *more, (0, 0)])[:, :, : sides[0], : sides[1]]
    split = pictures.reshape(rows, before, count[0], stride, count[1], stride * after)
    return _transposed(split, (0, 2, 4, 1, 3, 5))


def _transposed(numbers: Shaped[Array, "..."], axes: tuple[int, ...]) -> Shaped[Array, "..."]:
    """A transposition that leaves the last axis where it is. CPUs move number by number, so four bytes go as one."""
    if numbers.dtype != jnp.uint8 or numbers.shape[-1] % _BYTES:
        return jnp.transpose(numbers, axes)
    words = jax.lax.bitcast_convert_type(numbers.reshape(*numbers.shape[:-1], -1, _BYTES), jnp.uint32)
    moved = jax.lax.bitcast_convert_type(jnp.transpose(words, axes), jnp.uint8)
    return moved.reshape(*moved.shape[:-2], -1)


def largest_nearby(pictures: Float[Array, "B h w c"]) -> Float[Array, "B m n c"]:
    """The largest of the 3 × 3 numbers around every other place, of each channel."""
    for axis in (1, 2):
        border = [(0, 0)] * 4
        border[axis] = (1, 1)
        around = jnp.pad(pictures, border, constant_values=-jnp.inf)
        count = pictures.shape[axis]
        one, two, three = (jax.lax.slice_in_dim(around, at, at + count, 2, axis) for at in range(3))
        pictures = jnp.maximum(jnp.maximum(one, two), three)
    return pictures
