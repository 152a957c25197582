"""Objectives against their formulas, written out."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.core.distributions import Categorical
from steepest.core.schedules import Linear, at_progress
from steepest.core.spaces import Box, Discrete, Spec
from steepest.core.trajectory import Batch
from steepest.objectives import Clipped, Entropy, Ratio, Score, WithValue
from steepest.policies import SharedNetwork


class Logits(eqx.Module):
    """A policy with one row of logits for each row of the batch."""

    logits: jax.Array

    def __call__(self, obs):
        return Categorical(self.logits[obs])


ROWS, ACTIONS = 40, 3


@pytest.fixture
def policy():
    return Logits(jax.random.normal(jax.random.key(0), (ROWS, ACTIONS)))


@pytest.fixture
def batch():
    keys = jax.random.split(jax.random.key(1), 4)
    old = Logits(jax.random.normal(keys[3], (ROWS, ACTIONS)))
    action = jax.random.randint(keys[0], (ROWS,), 0, ACTIONS)
    rows = jnp.arange(ROWS)
    return Batch(
        obs=rows,
        action=action,
        log_prob=old(rows).log_prob(action),
        advantage=jax.random.normal(keys[1], (ROWS,)),
        weight=jax.random.bernoulli(keys[2], 0.8, (ROWS,)).astype(jnp.float32),
    )


def log_probabilities(policy, batch):
    log_all = np.asarray(jax.nn.log_softmax(policy.logits))
    return log_all[np.arange(ROWS), np.asarray(batch.action)]


def test_the_gradient_of_the_score_is_the_explicit_sum(policy, batch):
    """G16: Σ w A ∇log π / Σ w, with ∇log π = one-hot − probabilities for a softmax."""
    gradient = jax.grad(lambda each: Score()(each, batch)[0])(policy).logits
    one_hot = np.eye(ACTIONS)[np.asarray(batch.action)]
    score = one_hot - np.asarray(jax.nn.softmax(policy.logits))
    weight = np.asarray(batch.weight * batch.advantage)[:, None] / np.asarray(batch.weight).sum()
    np.testing.assert_allclose(gradient, weight * score, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("objective", [Score(), Ratio(), Clipped(0.2)], ids=["score", "ratio", "clipped"])
def test_an_advantage_is_a_constant_even_where_it_was_made_of_the_policy(objective, policy, batch):
    """G16: it may come out of a critic that shares the policy's parameters; no gradient flows through it."""

    def gain(policy, advantage):
        return objective(policy, eqx.tree_at(lambda each: each.advantage, batch, advantage))[0]

    made = jax.grad(lambda policy: gain(policy, jnp.sum(jnp.square(policy.logits), axis=1)))(policy).logits
    constant = jnp.sum(jnp.square(policy.logits), axis=1)
    np.testing.assert_allclose(made, jax.grad(lambda policy: gain(policy, constant))(policy).logits, rtol=1e-6)


def test_with_weights_of_one_the_score_is_maximum_likelihood(policy, batch):
    """G16: behaviour cloning."""
    cloning = eqx.tree_at(lambda each: each.advantage, batch, jnp.ones(ROWS))
    weight = np.asarray(batch.weight)
    expected = (log_probabilities(policy, batch) * weight).sum() / weight.sum()
    np.testing.assert_allclose(Score()(policy, cloning)[0], expected, rtol=1e-5)


def test_two_heads_are_taught_at_once():
    """C5: the gradient is that of the score, and that of half the mean squared error, weighted."""
    spec = Spec(Box(-1.0, 1.0, (2,)), Discrete(3), 1, 1)
    both = SharedNetwork.initial(jax.random.key(0), spec, hidden=(4,), output_scale=1.0)
    keys = jax.random.split(jax.random.key(1), 4)
    rows = Batch(
        obs=jax.random.normal(keys[0], (20, 2)),
        action=jax.random.randint(keys[1], (20,), 0, 3),
        log_prob=jnp.zeros(20),
        advantage=jax.random.normal(keys[2], (20,)),
        weight=jnp.ones(20).at[3].set(0.0),
        value_target=jax.random.normal(keys[3], (20,)).at[3].set(jnp.nan),
    )
    kept = jnp.arange(20) != 3

    def explicit(policy):
        score = jnp.mean((policy(rows.obs).log_prob(rows.action) * rows.advantage)[kept])
        return score - 0.25 * 0.5 * jnp.mean(jnp.square(policy.value(rows.obs[kept]) - rows.value_target[kept]))

    found = jax.grad(lambda policy: WithValue(Score(), 0.25)(policy, rows)[0])(both)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, jax.grad(explicit)(both))


def test_the_clipped_objective_is_the_lesser_of_the_two_gains(policy, batch):
    objective, info = Clipped(0.2)(policy, batch)
    ratio = np.exp(log_probabilities(policy, batch) - np.asarray(batch.log_prob))
    advantage, weight = np.asarray(batch.advantage), np.asarray(batch.weight)
    gain = np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage)
    np.testing.assert_allclose(objective, (gain * weight).sum() / weight.sum(), rtol=1e-5)
    outside = (np.abs(ratio - 1) > 0.2) * weight
    np.testing.assert_allclose(info["clip_fraction"], outside.sum() / weight.sum(), rtol=1e-5)


def test_beyond_the_radius_there_is_nothing_to_gain_but_much_to_lose():
    """S7: the gradient is 0 where the ratio has moved far the way the advantage wants, and not where it has not."""
    policy = Logits(jnp.array([[2.0, 0.0], [2.0, 0.0]]))
    batch = Batch(
        obs=jnp.arange(2),
        action=jnp.zeros(2, jnp.int32),
        log_prob=jnp.log(jnp.array([0.5, 0.5])),
        advantage=jnp.array([1.0, -1.0]),
        weight=jnp.ones(2),
    )
    gradient = jax.grad(lambda each: Clipped(0.2)(each, batch)[0])(policy).logits
    np.testing.assert_array_equal(gradient[0], 0)
    assert jnp.all(gradient[1] != 0)


def test_at_the_old_policy_clipped_and_score_have_the_same_gradient(policy, batch):
    at_old = eqx.tree_at(lambda each: each.log_prob, batch, policy(batch.obs).log_prob(batch.action))
    clipped = jax.grad(lambda each: Clipped(0.2)(each, at_old)[0])(policy).logits
    score = jax.grad(lambda each: Score()(each, at_old)[0])(policy).logits
    np.testing.assert_allclose(clipped, score, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    "objective", [Score(), Ratio(), Clipped(0.2), 0.1 * Entropy()], ids=["score", "ratio", "clipped", "entropy"]
)
def test_rows_of_weight_0_count_for_nothing(objective, policy, batch):
    def gradient(advantage):
        changed = eqx.tree_at(lambda each: each.advantage, batch, advantage)
        return jax.grad(lambda each: objective(each, changed)[0])(policy).logits

    polluted = jnp.where(batch.weight > 0, batch.advantage, 1e6)
    np.testing.assert_array_equal(gradient(polluted), gradient(batch.advantage))


def test_nan_is_not_hidden_by_clipping(policy, batch):
    bad = eqx.tree_at(lambda each: each.log_prob, batch, batch.log_prob.at[0].set(jnp.nan))
    bad = eqx.tree_at(lambda each: each.weight, bad, jnp.ones(ROWS))
    assert jnp.isnan(Clipped(0.2)(policy, bad)[0])


def test_a_sum_adds_its_terms_and_keeps_what_they_say(policy, batch):
    total, info = (Clipped(0.2) + 0.5 * Entropy())(policy, batch)
    parts = Clipped(0.2)(policy, batch)[0] + (0.5 * Entropy())(policy, batch)[0]
    np.testing.assert_allclose(total, parts, rtol=1e-6)
    assert set(info) == {"clip_fraction"}


def test_the_entropy_bonus_is_the_mean_entropy(policy, batch):
    probabilities = np.asarray(jax.nn.softmax(policy.logits), np.float64)
    entropy, weight = -(probabilities * np.log(probabilities)).sum(axis=1), np.asarray(batch.weight)
    expected = 0.5 * (entropy * weight).sum() / weight.sum()
    np.testing.assert_allclose((0.5 * Entropy())(policy, batch)[0], expected, rtol=1e-5)


def test_a_radius_that_is_not_positive_is_refused_by_name():
    with pytest.raises(ValueError, match=r"clip radius is 0\.0; it must be above 0"):
        Clipped(0.0)


def test_a_clip_radius_goes_to_its_end_in_a_straight_line():
    objective = Clipped(Linear(0.2, 0.1)) + 0.1 * Entropy()
    for progress, radius in ((0.0, 0.2), (0.5, 0.15), (1.0, 0.1)):
        inner = at_progress(objective, jnp.asarray(progress)).terms[0]
        np.testing.assert_allclose(inner.radius, radius, rtol=1e-6)
    fixed = Clipped(0.2)
    assert at_progress(fixed, jnp.asarray(0.7)).radius == 0.2


def test_a_bonus_of_nothing_leaves_the_objective():
    assert isinstance(Clipped(0.2) + 0.0 * Entropy(), Clipped)
