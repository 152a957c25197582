"""The squashed normal distribution: its change of variables, its precision and its entropy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from steepest.core.distributions import TanhGaussian
from steepest.core.distributions.tanh_gaussian import accurate_tanh
from steepest.core.errors import InputError


@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.3), (1.0, 0.5), (-0.5, 0.8)])
def test_the_squashed_density_integrates_to_one_over_the_box(mean, std):
    middle = -1 + 4 * (np.arange(100_000) + 0.5) / 100_000
    means, log_stds = jnp.full((100_000, 1), mean), jnp.full((100_000, 1), np.log(std))
    many = TanhGaussian(means, log_stds, low=[-1.0], high=[3.0])
    density = np.exp(np.asarray(many.log_prob(jnp.asarray(middle[:, None], jnp.float32)), np.float64))
    np.testing.assert_allclose(density.sum() * 4 / 100_000, 1, atol=1e-3)


@pytest.mark.parametrize(("low", "high", "tolerance"), [(-1.0, 1.0, 1e-3), (-0.1, 0.7, 1e-3), (0.5, 10.0, 3e-3)])
def test_the_log_probability_is_recovered_from_the_action_up_to_five(low, high, tolerance):
    mean = jnp.linspace(-4, 4, 4001)[:, None]
    distribution = TanhGaussian(mean, jnp.full_like(mean, np.log(0.3)), low=[low], high=[high])
    action, (_, log_prob) = distribution.sample(jax.random.key(5)), distribution.sample_and_log_prob(jax.random.key(5))
    within = np.abs(np.asarray(distribution.unsquashed().sample(jax.random.key(5))))[:, 0] <= 5

    error = np.abs(np.asarray(log_prob - distribution.log_prob(action)))[within]
    assert within.mean() > 0.98
    assert np.all(error < tolerance * np.maximum(1, np.abs(np.asarray(log_prob)))[within])


def test_tanh_is_rounded_once_close_to_one_and_has_its_gradient_everywhere():
    u = np.linspace(-5, 5, 20_001).astype(np.float32)
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(accurate_tanh)))(jnp.asarray(u))
    expected = np.tanh(u.astype(np.float64))
    np.testing.assert_allclose(value, expected, rtol=0, atol=1.5e-7)
    np.testing.assert_allclose(value[np.abs(u) > 2], expected[np.abs(u) > 2], rtol=0, atol=5e-8)
    np.testing.assert_allclose(slope, 1 - expected**2, rtol=0, atol=2e-7)


def test_an_action_on_the_edge_of_the_box_has_a_finite_log_probability_and_gradient():
    distribution = TanhGaussian(jnp.zeros((2, 1)), jnp.zeros((2, 1)), low=[-1.0], high=[1.0])
    edges = jnp.array([[-1.0], [1.0]])
    gradient = jax.jit(jax.grad(lambda each: jnp.sum(each.log_prob(edges))))(distribution)
    assert np.all(np.isfinite(distribution.log_prob(edges)))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


def test_the_squashed_entropy_is_right_for_every_mean_and_width():
    mean, std = map(np.ravel, np.meshgrid([0.0, 0.3, -1.0, 2.0, 5.0], [1e-3, 0.1, 0.5, 1.0, 2.0, 4.0, 20.0]))
    standard = np.linspace(-9, 9, 20_001)
    u = np.abs(mean + std * standard[:, None])
    log_slope = np.log(2) + 2 * (np.log(2) - u - np.log1p(np.exp(-2 * u)))
    mass = scipy.stats.norm.pdf(standard) * (standard[1] - standard[0])
    expected = scipy.stats.norm.entropy(scale=std) + mass @ log_slope
    mean_slope = np.where(mean == 0, 0, -2 * mass @ np.tanh(mean + std * standard[:, None]))

    distribution = TanhGaussian(*(jnp.asarray(x[:, None], jnp.float32) for x in (mean, np.log(std))), [-2.0], [2.0])
    gradient = jax.jit(jax.grad(lambda each: jnp.sum(each.entropy())))(distribution)
    np.testing.assert_allclose(distribution.entropy(), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient.mean[:, 0], mean_slope, atol=2e-5)


def test_the_box_is_neither_a_parameter_nor_a_reason_to_compile_again():
    traces = []

    @jax.jit
    def entropy(distribution):
        traces.append(1)
        return distribution.entropy()

    for scale in (1.0, 2.0):
        distribution = TanhGaussian(jnp.full(2, scale), jnp.zeros(2), low=jnp.array([-2.0, 0.5]), high=(2.0, 10.0))
        assert len(jax.tree.leaves(distribution)) == 2
        entropy(distribution)
    assert len(traces) == 1


def test_a_kl_between_different_boxes_is_refused():
    wide, narrow = (TanhGaussian(jnp.zeros(1), jnp.zeros(1), low=[-x], high=[x]) for x in (2.0, 1.0))
    with pytest.raises(InputError, match="differ"):
        wide.kl(narrow)
