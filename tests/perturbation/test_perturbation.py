"""Perturbations against functions whose gradient is known (G1, G2)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conformance.worlds import DISCOUNT, finite, policy

import steepest
from steepest.core.errors import InputError
from steepest.estimators import Perturbed
from steepest.perturbation import FiniteDifference, Regression

SIZE = 5
SLOPE = jnp.asarray([1.0, -2.0, 0.5, 3.0, 0.0])


def linear(offsets):
    return 7 + offsets @ SLOPE


@pytest.mark.parametrize(
    "perturbation", [FiniteDifference(0.3), FiniteDifference(0.3, central=False), Regression(9, 0.3)]
)
def test_the_gradient_of_a_linear_function_is_its_slope(perturbation):
    offsets = perturbation.offsets(jax.random.key(0), SIZE)
    assert offsets.shape == (perturbation.count(SIZE), SIZE)
    np.testing.assert_allclose(perturbation.gradient(offsets, linear(offsets)), SLOPE, atol=1e-4)


def test_central_differences_do_not_see_the_curvature_and_forward_ones_do():
    def curved(offsets):
        return linear(offsets) + jnp.sum(offsets**2, axis=1)

    for central, error in ((True, 0.0), (False, 0.3)):
        difference = FiniteDifference(0.3, central=central)
        offsets = difference.offsets(jax.random.key(0), SIZE)
        np.testing.assert_allclose(difference.gradient(offsets, curved(offsets)), SLOPE + error, atol=1e-4)


def test_with_few_perturbations_the_shortest_explanation_is_found():
    """ΔΘ⁺ΔJ with m < n: the projection of the slope on the directions that were tried."""
    regression = Regression(2, 0.3)
    offsets = regression.offsets(jax.random.key(3), SIZE)
    moves = np.asarray(offsets[1:], np.float64)
    projection = np.linalg.pinv(moves) @ moves @ np.asarray(SLOPE, np.float64)
    np.testing.assert_allclose(regression.gradient(offsets, linear(offsets)), projection, atol=1e-4)


def test_with_many_perturbations_it_is_least_squares():
    regression = Regression(30, 0.3)
    offsets = regression.offsets(jax.random.key(3), SIZE)
    performance = linear(offsets) + jax.random.normal(jax.random.key(4), (31,))
    gains = np.asarray(performance[1:] - performance[0], np.float64)
    wanted = np.linalg.lstsq(np.asarray(offsets[1:], np.float64), gains, rcond=None)[0]
    np.testing.assert_allclose(regression.gradient(offsets, performance), wanted, rtol=1e-3, atol=1e-4)


def test_common_luck_cancels():
    """The differences of the same luck vary less; that is what it is for."""
    spread = {}
    for common in (True, False):
        found = steepest.estimate_gradient(
            policy(),
            finite(),
            Perturbed(FiniteDifference(0.3), DISCOUNT, common_random_numbers=common),
            jax.random.key(0),
            episodes=20,
            repeats=60,
        )
        spread[common] = found.matrix.std(0).mean()
    assert spread[True] < 0.7 * spread[False]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FiniteDifference(0.0), "finite-difference step is 0.0"),
        (lambda: Regression(0), "perturbations is 0"),
        (lambda: Regression(4, -1.0), "deviation is -1.0"),
    ],
)
def test_wrong_numbers_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
