"""The convolution of pictures with a kernel, and the two products that are its derivatives, as CPUs do them fast.

XLA has a fast routine for convolutions on CPUs, and takes it for those laid out as in a forward pass: pictures, height,
width, channels. The derivatives that JAX makes of a convolution are laid out otherwise; inside a loop, such as that
over minibatches, the one by the kernel then takes 20 to 100 times as long. So both are written here as forward passes.

Each of the three is linear in either argument, and the derivatives of each are the other two: derivatives are exact to
any order.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

_PICTURES = 8
"""So many at a time are summed into the derivative by the kernel: more would not stay in the processor's cache."""


@jax.custom_jvp
def convolved(pictures: Float[Array, "B h w c"], kernel: Float[Array, "k l c o"]) -> Float[Array, "B m n o"]:
    """The kernel put on every place of the pictures where it fits, with stride 1.

    >>> convolved(jnp.ones((1, 3, 3, 2)), jnp.ones((2, 2, 2, 1)))[0, :, :, 0].tolist()
    [[8.0, 8.0], [8.0, 8.0]]
    """
    return _convolve(pictures, kernel)


def _convolved_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    pairs = ((tangents[0], primals[1]), (primals[0], tangents[1]))
    # What is known to be zero, such as the derivative by bytes, costs nothing.
    terms = [_CONVOLVE.bind(*pair) for pair in pairs if not any(isinstance(each, SymbolicZero) for each in pair)]
    outputs = convolved(*primals)
    return outputs, functools.reduce(jnp.add, terms, jnp.zeros_like(outputs))


convolved.defjvp(_convolved_jvp, symbolic_zeros=True)


def _convolve(pictures: Float[Array, "B h w c"], kernel: Float[Array, "k l c o"]) -> Float[Array, "B m n o"]:
    return jax.lax.conv_general_dilated(pictures, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _by_pictures(outputs: Float[Array, "B m n o"], kernel: Float[Array, "k l c o"]) -> Float[Array, "B h w c"]:
    """The derivative by the pictures: what every place of the outputs says of the pixels under the kernel, summed.

    A product for each row of the kernel; the results are moved to where they belong.
    """
    down, across = kernel.shape[:2]

    def added(places: Float[Array, "B m w c"], at: int) -> Float[Array, "B h w c"]:
        return jnp.pad(places, [(0, 0), (at, down - 1 - at), (0, 0), (0, 0)])

    def of_row(row: Float[Array, "l c o"]) -> Float[Array, "B m w c"]:
        found = jnp.einsum("bmno,lco->bmnlc", outputs, row)
        moved = [jnp.pad(found[:, :, :, at], [(0, 0), (0, 0), (at, across - 1 - at), (0, 0)]) for at in range(across)]
        return functools.reduce(jnp.add, moved)

    return functools.reduce(jnp.add, [added(of_row(kernel[at]), at) for at in range(down)])


def _by_kernel(pictures: Float[Array, "B h w c"], outputs: Float[Array, "B m n o"]) -> Float[Array, "k l c o"]:
    """The derivative by the kernel: channels take the place of pictures, and the outputs that of a kernel."""

    def summed(pictures: Float[Array, "b h w c"], outputs: Float[Array, "b m n o"]) -> Float[Array, "k l c o"]:
        found = _laid_out(jnp.transpose(pictures, (3, 1, 2, 0)), jnp.transpose(outputs, (1, 2, 0, 3)))
        return jnp.transpose(found, (1, 2, 0, 3))

    whole = pictures.shape[0] // _PICTURES * _PICTURES
    if not whole:
        return summed(pictures, outputs)
    groups = [each[:whole].reshape(-1, _PICTURES, *each.shape[1:]) for each in (pictures, outputs)]
    shape = jax.eval_shape(summed, *(each[0] for each in groups))
    start = jnp.zeros(shape.shape, shape.dtype)
    total = jax.lax.scan(lambda total, group: (total + summed(*group), None), start, groups)[0]
    return total if whole == pictures.shape[0] else total + summed(pictures[whole:], outputs[whole:])


def _laid_out(left: Array, right: Array) -> Array:
    """A convolution of what is laid out first: merged into it, the layout would make it another than a forward pass."""
    return _convolve(*jax.lax.optimization_barrier((left, right)))


def _bilinear(name: str, function: Callable[[Array, Array], Array]) -> Primitive:
    """An operation of JAX's that is linear in both arguments, computed by `function`."""
    primitive = Primitive(name)

    def shape(*arguments: ShapedArray) -> ShapedArray:
        found = jax.eval_shape(function, *(jax.ShapeDtypeStruct(each.shape, each.dtype) for each in arguments))
        return ShapedArray(found.shape, found.dtype)

    def batched(arguments: Sequence[Array], axes: Sequence[int | None]) -> tuple[Array, int]:
        constant = [each if axis is None else None for each, axis in zip(arguments, axes, strict=True)]
        moved = [
            None if axis is None else jnp.moveaxis(each, axis, 0) for each, axis in zip(arguments, axes, strict=True)
        ]

        def one(mapped: list[Array | None]) -> Array:
            return primitive.bind(*(b if a is None else a for a, b in zip(mapped, constant, strict=True)))

        return jax.lax.map(one, moved), 0

    primitive.def_impl(jax.jit(function))
    primitive.def_abstract_eval(shape)
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))
    batching.primitive_batchers[primitive] = batched
    return primitive


_CONVOLVE = _bilinear("convolve", _convolve)
_BY_PICTURES = _bilinear("convolve_by_pictures", _by_pictures)
_BY_KERNEL = _bilinear("convolve_by_kernel", _by_kernel)
# By the first argument, then by the second: from what is known of the result, in the first place.
ad.defbilinear(
    _CONVOLVE,
    lambda outputs, pictures, kernel: _BY_PICTURES.bind(outputs, kernel),
    lambda outputs, pictures, kernel: _BY_KERNEL.bind(pictures, outputs),
)
ad.defbilinear(
    _BY_PICTURES,
    lambda pictures, outputs, kernel: _CONVOLVE.bind(pictures, kernel),
    lambda pictures, outputs, kernel: _BY_KERNEL.bind(pictures, outputs),
)
ad.defbilinear(
    _BY_KERNEL,
    lambda kernel, pictures, outputs: _BY_PICTURES.bind(outputs, kernel),
    lambda kernel, pictures, outputs: _CONVOLVE.bind(pictures, kernel),
)
