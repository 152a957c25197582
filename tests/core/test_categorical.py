"""Choices at their limits: actions that are ruled out or do not exist, switches that cannot move, large logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from steepest.core.distributions import Bernoulli, Categorical


@pytest.mark.parametrize("position", [0, 3, 6, 7])
def test_an_action_that_is_ruled_out_is_never_drawn(position):
    logits = jnp.linspace(-1, 1, 8).at[position].set(-jnp.inf)
    samples = Categorical(jnp.broadcast_to(logits, (100_000, 8))).sample(jax.random.key(4))
    counts = np.bincount(samples, minlength=8)
    assert counts[position] == 0
    assert np.all(np.delete(counts, position) > 0)


def test_quantile_covers_the_ends_of_the_unit_interval():
    distribution = Categorical(jnp.broadcast_to(jnp.array([-jnp.inf, 0.0, 0.0, -jnp.inf]), (2, 4)))
    np.testing.assert_array_equal(distribution.quantile(jnp.array([0.0, 1 - 2.0**-24])), [1, 2])


@jax.jit
def gradients(distribution, action):
    return [
        jax.grad(lambda each: each.entropy())(distribution),
        jax.grad(lambda each: each.log_prob(action))(distribution),
        jax.grad(lambda each: distribution.kl(each))(distribution),
        jax.grad(lambda each: each.kl(distribution))(distribution),
    ]


def test_an_action_that_is_ruled_out_changes_nothing_for_the_others():
    full, nearby = jnp.array([0.3, -1.2, 0.8]), jnp.array([-0.4, 0.1, 1.5])
    widen = lambda logits: jnp.insert(logits, 1, -jnp.inf)  # noqa: E731
    masked, other = Categorical(widen(full)), Categorical(widen(nearby))
    small, small_other = Categorical(full), Categorical(nearby)

    np.testing.assert_allclose(masked.entropy(), small.entropy(), rtol=1e-6)
    np.testing.assert_allclose(masked.kl(other), small.kl(small_other), rtol=1e-6)
    np.testing.assert_allclose(masked.log_prob(jnp.array(2)), small.log_prob(jnp.array(1)), rtol=1e-6)
    assert masked.log_prob(jnp.array(1)) == -jnp.inf
    assert small.kl(small_other) < Categorical(jnp.insert(full, 1, 0.0)).kl(other) == jnp.inf
    hessian = jax.jit(jax.hessian(lambda logits: masked.kl(Categorical(logits))))(masked.logits)
    p = np.insert(scipy.special.softmax(full), 1, 0)
    np.testing.assert_allclose(hessian, np.diag(p) - np.outer(p, p), atol=1e-6)
    for wide, narrow in zip(gradients(masked, jnp.array(2)), gradients(small, jnp.array(1)), strict=True):
        assert wide.logits[1] == 0
        np.testing.assert_allclose(np.delete(wide.logits, 1), narrow.logits, atol=1e-6)


def test_a_switch_that_cannot_move_adds_nothing():
    free, fixed = Bernoulli(jnp.array([0.3])), Bernoulli(jnp.array([-jnp.inf, 0.3, jnp.inf]))
    action = jnp.array([0, 1, 1])
    np.testing.assert_allclose(fixed.entropy(), free.entropy(), rtol=1e-6)
    np.testing.assert_allclose(fixed.log_prob(action), free.log_prob(action[1:2]), rtol=1e-6)
    assert fixed.kl(fixed) == 0
    assert fixed.log_prob(1 - action) == -jnp.inf
    samples = np.asarray(Bernoulli(jnp.broadcast_to(fixed.logits, (1000, 3))).sample(jax.random.key(6)))
    np.testing.assert_array_equal(samples[:, [0, 2]], [[0, 1]] * 1000)
    for gradient in gradients(fixed, action):
        np.testing.assert_array_equal(gradient.logits[jnp.array([0, 2])], 0)
        assert np.isfinite(gradient.logits[1])


@pytest.mark.parametrize("action", [-1, 5])
def test_an_action_that_does_not_exist_has_probability_zero(action):
    assert np.all(np.isneginf(Categorical(jnp.zeros((2, 5))).log_prob(jnp.full(2, action))))
    assert np.all(np.isneginf(Bernoulli(jnp.zeros((2, 3))).log_prob(jnp.full((2, 3), action))))


def test_large_logits_neither_overflow_nor_lose_digits():
    distribution = Categorical(jnp.array([1e4, 1e4 - 1, -1e4]))
    expected = scipy.special.log_softmax([1e4, 1e4 - 1, -1e4])
    np.testing.assert_allclose(jax.vmap(distribution.log_prob)(jnp.arange(3)), expected, rtol=1e-6)
    np.testing.assert_allclose(distribution.entropy(), scipy.stats.entropy(np.exp(expected)), rtol=1e-6)
