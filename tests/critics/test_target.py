"""C6: target networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete, Spec
from steepest.critics import ActionValue, polyak

SPEC = Spec(Box(-1.0, 1.0, (2,)), Discrete(2), 1, 1)
TARGET, ONLINE = (ActionValue.initial(jax.random.key(seed), SPEC, hidden=(4,)) for seed in (0, 1))


def test_every_parameter_moves_by_the_rate_towards_the_online_one():
    found = jax.jit(polyak)(TARGET, ONLINE, 0.2)
    expected = jax.tree.map(lambda slow, fast: 0.8 * np.asarray(slow) + 0.2 * np.asarray(fast), TARGET, ONLINE)
    jax.tree.map(lambda *each: np.testing.assert_allclose(*each, rtol=1e-6, atol=1e-7), found, expected)
    assert jax.tree.structure(found) == jax.tree.structure(TARGET)


def test_a_fixed_network_is_approached_geometrically():
    target = jnp.array([1.0, -3.0])
    for _ in range(10):
        target = polyak(target, jnp.array([5.0, 5.0]), 0.1)
    np.testing.assert_allclose(target, 5 - 0.9**10 * np.array([4.0, 8.0]), rtol=1e-5)


def test_a_rate_of_one_copies_bit_for_bit():
    jax.tree.map(np.testing.assert_array_equal, polyak(TARGET, ONLINE, 1.0), ONLINE)


def test_what_has_no_mean_comes_from_the_online_tree():
    found = polyak(
        {"x": jnp.zeros(1), "count": jnp.array(3), "f": None}, {"x": jnp.ones(1), "count": jnp.array(7), "f": None}, 0.5
    )
    assert (float(found["x"][0]), int(found["count"]), found["f"]) == (0.5, 7, None)


def test_the_rate_may_be_mapped_over_and_the_precision_of_a_leaf_is_kept():
    rates = jnp.array([0.25, 1.0])
    found = jax.vmap(lambda rate: polyak(jnp.zeros(2, jnp.bfloat16), jnp.ones(2, jnp.bfloat16), rate))(rates)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found.astype(jnp.float32), [[0.25, 0.25], [1.0, 1.0]])


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.5, float("nan")])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(InputError, match=r"rate is .*; it must be above 0 and at most 1"):
        polyak(TARGET, ONLINE, rate)


def test_nan_is_not_hidden():
    assert np.isnan(polyak(jnp.zeros(1), jnp.array([jnp.nan]), 0.5)[0])
