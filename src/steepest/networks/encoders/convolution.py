"""Convolutions of pictures whose channels come last."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.networks.encoders.convolving import convolved


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
        height, width, outputs = self.output_shape(pictures.shape[1:])
        if self.same:
            pictures = jnp.pad(pictures, [(0, 0), *map(_border, self.kernel.shape[:2]), (0, 0)])
        kernel, down, across = _in_blocks(self.kernel, self.stride)
        pictures = _of_blocks(pictures, (height + down - 1, width + across - 1), self.stride)
        kernel = kernel.reshape(down, across, -1, outputs)
        return convolved(pictures, kernel) + self.bias[None, None, None]


def _border(side: int) -> tuple[int, int]:
    return (side - 1) // 2, side // 2


def _in_blocks(kernel: Float[Array, "k l c o"], stride: int) -> tuple[Float[Array, "rows o"], int, int]:
    """A kernel of blocks, a row for each of their numbers; and how many blocks it takes, down and across."""
    sides, rest = kernel.shape[:2], kernel.shape[2:]
    down, across = (-(-side // stride) for side in sides)
    if stride > 1:
        more = (down * stride - sides[0], across * stride - sides[1])
        kernel = jnp.pad(kernel, [(0, more[0]), (0, more[1]), (0, 0), (0, 0)])
        kernel = kernel.reshape(down, stride, across, stride, *rest).transpose(0, 2, 1, 3, 4, 5)
    return kernel.reshape(-1, rest[1]), down, across


def _of_blocks(pictures: Float[Array, "B h w c"], count: tuple[int, int], stride: int) -> Float[Array, "B m n d"]:
    """Pictures whose pixels are the blocks of stride × stride pixels, `count` of them down and across.

    What is beyond the last block is cut off, and what it lacks is 0.
    """
    if stride == 1:
        return pictures
    sides = [each * stride for each in count]
    more = [(0, max(0, side - each)) for side, each in zip(sides, pictures.shape[1:3], strict=True)]
    pictures = jnp.pad(pictures, [(0, 0), *more, (0, 0)])[:, : sides[0], : sides[1]]
    channels = pictures.shape[3]
    split = pictures.reshape(-1, count[0], stride, count[1], stride, channels).transpose(0, 1, 3, 2, 4, 5)
    return split.reshape(-1, *count, stride * stride * channels)


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
