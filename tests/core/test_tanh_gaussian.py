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
    action, log_slope = many.unsquash(jnp.asarray(middle[:, None], jnp.float32))
    density = np.exp(np.asarray(many.log_prob(action) - log_slope, np.float64))
    np.testing.assert_allclose(density.sum() * 4 / 100_000, 1, atol=1e-3)


@pytest.mark.parametrize(("low", "high", "tolerance"), [(-1.0, 1.0, 1e-3), (-0.1, 0.7, 1e-3), (0.5, 10.0, 3e-3)])
def test_the_log_probability_is_recovered_from_what_the_environment_takes_up_to_five(low, high, tolerance):
    mean = jnp.linspace(-4, 4, 4001)[:, None]
    distribution = TanhGaussian(mean, jnp.full_like(mean, np.log(0.3)), low=[low], high=[high])
    action, log_prob = distribution.sample_and_log_prob(jax.random.key(5))
    within = np.abs(np.asarray(action))[:, 0] <= 5

    recovered, _ = distribution.unsquash(distribution.squash(action))
    error = np.abs(np.asarray(log_prob - distribution.log_prob(recovered)))[within]
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

    def log_density(each):
        action, log_slope = each.unsquash(edges)
        return each.log_prob(action) - log_slope

    gradient = jax.jit(jax.grad(lambda each: jnp.sum(log_density(each))))(distribution)
    assert np.all(np.isfinite(jax.jit(log_density)(distribution)))
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


def test_the_ratio_of_a_policy_to_itself_is_one_and_its_score_exact_for_every_mean_and_width():
    """What is stored is what was drawn, so nothing has to be found again where the box is saturated."""
    means, log_stds = map(np.ravel, np.meshgrid(np.linspace(-30, 30, 61), np.linspace(-5, 2, 15)))
    mean, log_std = (jnp.asarray(each[:, None], jnp.float32) for each in (means, log_stds))
    draw = jax.jit(lambda key: TanhGaussian(mean, log_std, [0.5], [10.0]).sample_and_log_prob(key))
    action, log_prob = draw(jax.random.key(6))

    def later(mean, log_std):
        return TanhGaussian(mean, log_std, [0.5], [10.0]).log_prob(action)

    ratio = np.exp(np.asarray(later(mean, log_std) - log_prob, np.float64))
    np.testing.assert_allclose(ratio, 1, rtol=0, atol=1e-5)

    by_mean, by_log_std = jax.jit(jax.grad(lambda *each: jnp.sum(later(*each)), argnums=(0, 1)))(mean, log_std)
    standard = (np.asarray(action, np.float64) - np.asarray(mean)) / np.exp(np.asarray(log_std, np.float64))
    np.testing.assert_allclose(by_mean, standard / np.exp(np.asarray(log_std, np.float64)), rtol=1e-5)
    np.testing.assert_allclose(by_log_std, standard**2 - 1, rtol=1e-5, atol=1e-5)


def test_two_squashed_policies_have_the_same_ratio_before_and_after_squashing():
    """The slope is the same for both, so a uniform policy over the box is judged rightly in terms of u as well."""
    taken = jnp.linspace(0.6, 9.9, 50)[:, None]
    some = TanhGaussian(jnp.full_like(taken, 0.3), jnp.full_like(taken, -0.2), [0.5], [10.0])
    action, log_slope = some.unsquash(taken)
    z = (np.asarray(taken, np.float64)[:, 0] - 5.25) / 4.75
    density = scipy.stats.norm.pdf(np.arctanh(z), 0.3, np.exp(-0.2)) / (4.75 * (1 - z**2))
    ratio = np.exp(some.log_prob(action) - (log_slope - np.log(9.5)))
    np.testing.assert_allclose(ratio, density * 9.5, rtol=1e-4)
