"""The convolution is JAX's own, in value and in derivatives of any order; its derivatives are forward passes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.networks.encoders.convolving import convolved


def _of_jax(pictures, kernel):
    return jax.lax.conv_general_dilated(pictures, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _drawn(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def _compare(function, *arguments):
    """What the function makes of JAX's convolution and of ours is the same."""
    expected, actual = (jax.tree.leaves(jax.jit(function(each))(*arguments)) for each in (_of_jax, convolved))
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=2e-3)


def _gradient(convolution, weight):
    return jax.grad(lambda pictures, kernel: jnp.sum(jnp.tanh(convolution(pictures, kernel)) * weight), (0, 1))


@pytest.mark.parametrize("rows", [3, 8, 19], ids=["few", "one group", "groups and a rest"])
def test_value_gradient_and_products_with_the_hessian_are_those_of_jax(rows):
    pictures, kernel, weight = _drawn(0, rows, 7, 6, 3), _drawn(1, 3, 2, 3, 4), _drawn(2, rows, 5, 5, 4)
    tangent = (_drawn(3, *pictures.shape), _drawn(4, *kernel.shape))

    def found(convolution):
        def all_of_it(*point):
            gradient = _gradient(convolution, weight)
            forward = jax.jvp(gradient, point, tangent)[1]
            reverse = jax.grad(lambda *at: sum(map(jnp.vdot, gradient(*at), tangent)), (0, 1))(*point)
            return convolution(*point), gradient(*point), forward, reverse

        return all_of_it

    _compare(found, pictures, kernel)


def test_it_is_mapped_over_either_argument_or_both():
    def found(convolution):
        gradient = _gradient(convolution, 1.0)
        return lambda a, b: (
            jax.vmap(gradient)(a, b),
            jax.vmap(gradient, (0, None))(a, b[0]),
            jax.vmap(gradient, (None, 0))(a[0], b),
        )

    _compare(found, _drawn(0, 2, 4, 5, 5, 3), _drawn(1, 2, 2, 2, 3, 4))


def test_no_derivative_is_taken_by_what_does_not_move():
    """The first layer of a network is not derived by its pictures."""
    gradient = jax.grad(lambda kernel: jnp.sum(convolved(jnp.ones((2, 4, 4, 1)), kernel)))
    text = str(jax.make_jaxpr(gradient)(jnp.ones((2, 2, 1, 3))))
    assert "convolve_by_kernel" in text
    assert "convolve_by_pictures" not in text
