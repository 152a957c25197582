"""Advantages against a reference that follows the definitions word by word, in float64 and O(T²)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steepest.advantages import GAE, MonteCarlo, NStep, gae, n_step_return, reward_to_go, standardise
from steepest.core.trajectory import Trajectory

T = 12
unit = st.floats(0, 1, width=32)
numbers = st.lists(st.floats(-3, 3, width=32), min_size=T, max_size=T)
ends = st.lists(st.sampled_from(["on", "on", "on", "terminated", "truncated", "both"]), min_size=T, max_size=T)


def stream(reward, value, next_value, ends):
    """The arrays of one stream; `next_value` agrees with `value` wherever the episode goes on."""
    reward, value, next_value = (np.array(each, np.float64) for each in (reward, value, next_value))
    terminated = np.array([end in ("terminated", "both") for end in ends])
    truncated = np.array([end in ("truncated", "both") for end in ends])
    goes_on = ~(terminated | truncated)[:-1]
    next_value[:-1] = np.where(goes_on, value[1:], next_value[:-1])
    return reward, value, next_value, terminated, truncated


def k_step_return(t, k, reward, next_value, terminated, truncated, discount):
    """At most k rewards from step t, then the critic's word, unless the episode terminates first."""
    total = 0.0
    for i in range(k):
        total += discount**i * reward[t + i]
        last = terminated[t + i] or truncated[t + i] or t + i == T - 1 or i == k - 1
        if last:
            return total + discount ** (i + 1) * (0.0 if terminated[t + i] else next_value[t + i])
    raise AssertionError


def steps_left(t, terminated, truncated):
    """How many rewards there are from step t to the end of its episode, or of the stream."""
    ended = np.flatnonzero((terminated | truncated)[t:])
    return int(ended[0]) + 1 if len(ended) else T - t


compiled_n_step_return = jax.jit(n_step_return, static_argnames="n")


def as_float32(arrays):
    return [jnp.asarray(each, jnp.float32 if each.dtype == np.float64 else bool) for each in arrays]


@settings(max_examples=60, deadline=None)
@given(numbers, numbers, numbers, ends, unit, unit)
def test_gae_is_the_weighted_sum_of_all_n_step_advantages(reward, value, next_value, ends, discount, gae_lambda):
    arrays = stream(reward, value, next_value, ends)
    reward, value, next_value, terminated, truncated = arrays
    expected = []
    for t in range(T):
        left = steps_left(t, terminated, truncated)
        n_step = [
            k_step_return(t, k, reward, next_value, terminated, truncated, discount) - value[t]
            for k in range(1, left + 1)
        ]
        weights = [(1 - gae_lambda) * gae_lambda ** (k - 1) for k in range(1, left)] + [gae_lambda ** (left - 1)]
        expected.append(np.dot(weights, n_step))
    found = jax.jit(gae)(*as_float32(arrays), discount=discount, gae_lambda=gae_lambda)
    np.testing.assert_allclose(found, expected, atol=2e-4, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(numbers, numbers, numbers, ends, unit, st.integers(1, T + 2))
def test_n_step_returns_stop_after_n_rewards_or_at_the_end(reward, value, next_value, ends, discount, n):
    arrays = stream(reward, value, next_value, ends)
    reward, _, next_value, terminated, truncated = arrays
    expected = [k_step_return(t, n, reward, next_value, terminated, truncated, discount) for t in range(T)]
    reward, _, next_value, terminated, truncated = as_float32(arrays)
    found = compiled_n_step_return(reward, next_value, terminated, truncated, discount=discount, n=n)
    np.testing.assert_allclose(found, expected, atol=2e-4, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(numbers, numbers, numbers, ends, unit)
def test_reward_to_go_runs_to_the_end_of_the_episode(reward, value, next_value, ends, discount):
    arrays = stream(reward, value, next_value, ends)
    reward, _, next_value, terminated, truncated = arrays
    expected = [k_step_return(t, T, reward, next_value, terminated, truncated, discount) for t in range(T)]
    reward, _, next_value, terminated, truncated = as_float32(arrays)
    found = jax.jit(reward_to_go)(reward, next_value, terminated, truncated, discount=discount)
    np.testing.assert_allclose(found, expected, atol=2e-4, rtol=1e-4)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def random_trajectory(key, length=9, streams=4, obs=3):
    keys = jax.random.split(key, 6)
    terminated = jax.random.bernoulli(keys[3], 0.15, (length, streams))
    truncated = jax.random.bernoulli(keys[4], 0.15, (length, streams))
    return Trajectory(
        obs=jax.random.normal(keys[0], (length, streams, obs)),
        action=jnp.zeros((length, streams), jnp.int32),
        next_obs=jax.random.normal(keys[1], (length, streams, obs)),
        reward=jax.random.normal(keys[2], (length, streams)),
        log_prob=jnp.zeros((length, streams)),
        terminated=terminated,
        truncated=truncated,
        valid=jnp.ones((length, streams), bool),
    )


RULES = {
    "gae": GAE(0.97, 0.9),
    "one step": NStep(0.97, 1),
    "three steps": NStep(0.97, 3),
    "monte carlo": MonteCarlo(0.97),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_streams_do_not_mix(rule):
    trajectory = random_trajectory(jax.random.key(0))
    value, next_value = (jax.random.normal(jax.random.key(seed), (9, 4)) for seed in (1, 2))
    estimate = jax.jit(rule)
    together = estimate(trajectory, value, next_value)
    for column in range(4):
        alone = jax.tree.map(lambda each, column=column: each[:, column : column + 1], trajectory)
        single = estimate(alone, value[:, column : column + 1], next_value[:, column : column + 1])
        np.testing.assert_allclose(single.advantage[:, 0], together.advantage[:, column], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(together.value_target, together.advantage + value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_row_that_is_not_valid_never_reaches_the_others(rule):
    """Next-step autoreset: the row after an end is no transition, whatever it holds."""
    trajectory = random_trajectory(jax.random.key(3))
    ended = trajectory.terminated.at[4].set(True)
    valid = trajectory.valid.at[5].set(False)
    value, next_value = (jax.random.normal(jax.random.key(seed), (9, 4)) for seed in (1, 2))

    @jax.jit
    def estimate(nonsense):
        rows = Trajectory(
            obs=trajectory.obs,
            action=trajectory.action,
            next_obs=trajectory.next_obs,
            reward=trajectory.reward.at[5].set(nonsense),
            log_prob=trajectory.log_prob,
            terminated=ended,
            truncated=trajectory.truncated,
            valid=valid,
        )
        return rule(rows, value.at[5].set(nonsense), next_value.at[5].set(-nonsense)).advantage

    others = np.arange(9) != 5
    np.testing.assert_array_equal(estimate(1e3)[others], estimate(-7.0)[others])


def test_one_step_is_gae_without_trace_and_monte_carlo_is_gae_with_full_trace():
    trajectory = random_trajectory(jax.random.key(0))
    value = jax.random.normal(jax.random.key(1), (9, 4))
    next_value = jax.random.normal(jax.random.key(2), (9, 4))
    ended = trajectory.terminated | trajectory.truncated
    next_value = next_value.at[:-1].set(jnp.where(ended[:-1], next_value[:-1], value[1:]))
    for rule, gae_lambda in ((NStep(0.9, 1), 0.0), (MonteCarlo(0.9), 1.0)):
        found = rule(trajectory, value, next_value).advantage
        np.testing.assert_allclose(found, GAE(0.9, gae_lambda)(trajectory, value, next_value).advantage, atol=1e-5)


def test_the_n_step_sum_as_it_is_often_printed_counts_a_reward_too_many():
    """Erratum: summed to t+n and bootstrapped from s_{t+n}, a constant world is worth more than it is."""
    reward, discount, n = jnp.ones(50), 0.9, 5
    worth = 1 / (1 - discount)
    never = jnp.zeros(50, bool)
    found = n_step_return(reward, jnp.full(50, worth), never, never, discount=discount, n=n)
    np.testing.assert_allclose(found, worth, rtol=1e-5)
    as_printed = sum(discount**k for k in range(n + 1)) + discount**n * worth
    assert abs(as_printed - worth) > 0.5


def test_normalised_advantages_have_mean_0_and_deviation_1_over_the_valid_rows():
    advantage = jax.random.normal(jax.random.key(0), (20, 3)) * 7 + 3
    valid = jax.random.bernoulli(jax.random.key(1), 0.7, (20, 3))
    found = np.asarray(standardise(advantage, valid))[np.asarray(valid)]
    np.testing.assert_allclose([found.mean(), found.std()], [0, 1], atol=1e-5)
    polluted = jnp.where(valid, advantage, 1e6)
    np.testing.assert_allclose(np.asarray(standardise(polluted, valid))[np.asarray(valid)], found, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 5])
def test_normalising_rows_that_are_all_alike_gives_zeros_not_nan(rows):
    np.testing.assert_array_equal(standardise(jnp.full(rows, 3.0), jnp.ones(rows, bool)), np.zeros(rows))
    assert jnp.all(jnp.isfinite(standardise(jnp.ones(rows), jnp.zeros(rows, bool))))


def test_normalising_does_not_hide_nan():
    assert jnp.any(jnp.isnan(standardise(jnp.array([1.0, jnp.nan]), jnp.ones(2, bool))))


def test_n_below_one_is_refused_by_name():
    with pytest.raises(ValueError, match=r"n is 0; it must be a whole number and at least 1"):
        NStep(0.9, 0)


@pytest.mark.parametrize(("value", "shape"), [(99.34, (200, 16)), (5.3, (200, 16)), (-3.2, (500, 16)), (0.0, (3, 1))])
def test_advantages_all_alike_become_0_however_their_mean_is_rounded(value, shape):
    found = standardise(jnp.full(shape, value), jnp.ones(shape, bool))
    np.testing.assert_array_equal(found, 0)
