"""C7: values that depend on the time of an episode."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_mdp import CYCLE, POLICY, streams

from steepest.advantages import MonteCarlo, NStep
from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete, MultiDiscrete, Spec
from steepest.critics import LinearValue, StateValue, Stationary, TabularValue

DISCOUNT, HORIZON = 0.9, 5
TRUTH = CYCLE.value_by_time(POLICY, DISCOUNT, HORIZON)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def episodes():
    """All episodes of five steps, and the return of every row to their end."""
    each = streams(CYCLE, POLICY, HORIZON, whole=True)
    nothing = jnp.zeros(each.trajectory.reward.shape)
    return each, MonteCarlo(DISCOUNT)(each.trajectory, nothing, nothing).value_target


def rows_of(episodes):
    each, target = episodes
    return each.trajectory.obs, each.time, target, each.weight


def reached(episodes):
    """[H, S]: how probable each state is at each time."""
    each, _ = episodes
    table = np.zeros((HORIZON, 3))
    np.add.at(table, (np.asarray(each.time), np.asarray(each.trajectory.obs)), np.asarray(each.weight, np.float64))
    return table


def test_the_mean_return_of_every_cell_is_the_value_of_the_finite_horizon(episodes):
    found = TabularValue.fit(*rows_of(episodes), states=3, horizon=HORIZON)
    assert np.all(reached(episodes) > 0)
    np.testing.assert_allclose(found.table, TRUTH, rtol=1e-5, atol=1e-6)
    assert np.max(np.ptp(TRUTH, axis=0)) > 1  # the time does matter here


@pytest.mark.parametrize("n", [1, 2])
def test_the_value_by_time_is_the_fixed_point_of_bootstrapping_with_the_next_time(n, episodes):
    """The successor is asked about one step later, and past the horizon nothing is left."""
    each, _ = episodes
    value = TabularValue(jnp.asarray(TRUTH, jnp.float32))
    now, after = value(each.trajectory.obs, each.time), value(each.trajectory.next_obs, each.time + 1)
    target = NStep(DISCOUNT, n)(each.trajectory, now, after).value_target
    again = TabularValue.fit(each.trajectory.obs, each.time, target, each.weight, states=3, horizon=HORIZON)
    np.testing.assert_allclose(again.table, TRUTH, rtol=1e-5, atol=1e-6)


def test_the_linear_value_beats_every_value_without_time_and_the_table_beats_both(episodes):
    obs, time, target, weight = rows_of(episodes)
    linear = LinearValue.fit(Discrete(3), obs, time, target, weight, HORIZON)
    table = TabularValue.fit(obs, time, target, weight, states=3, horizon=HORIZON)
    best = jnp.stack([jnp.average(target[obs == state], weights=weight[obs == state]) for state in range(3)])
    share = np.asarray(weight) / np.sum(weight)
    truth = TRUTH[np.asarray(time), np.asarray(obs)]
    errors = [
        np.sum(share * np.square(value(obs, time) - truth))
        for value in (Stationary(lambda obs: best[obs]), linear, table)
    ]
    assert errors[1] < 0.25 * errors[0]
    assert errors[2] < 1e-6 * errors[0]


def test_a_stationary_value_ignores_the_time():
    spec = Spec(Box(-1.0, 1.0, (2,)), Discrete(2), 1, 1)
    critic, obs = StateValue.initial(KEY, spec), jnp.ones((4, 3, 2))
    time = jnp.arange(12, dtype=jnp.int32).reshape(4, 3)
    np.testing.assert_array_equal(Stationary(critic)(obs, time), critic(obs))
    np.testing.assert_array_equal(TabularValue(jnp.arange(3.0))(time % 3, time), time % 3)


def test_past_the_last_row_of_a_table_everything_is_worth_nothing():
    obs, time = jnp.array([1, 1, 1, 1]), jnp.array([0, 1, 2, 1000])
    table = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(TabularValue(table)(obs, time), [2, 4, 0, 0])
    with_the_end = jnp.concatenate([table, jnp.array([[5.0, 6.0]])])
    np.testing.assert_array_equal(TabularValue(with_the_end)(obs, time), [2, 4, 6, 0])


def test_an_empty_cell_gets_the_mean_of_its_time_or_else_of_everything():
    obs, time = jnp.array([0, 0, 1, 0]), jnp.array([0, 0, 0, 2])
    target, weight = jnp.array([1.0, 4.0, 10.0, 100.0]), jnp.array([2.0, 1.0, 1.0, 1.0])
    found = TabularValue.fit(obs, time, target, weight, states=3, horizon=3).table
    np.testing.assert_allclose(found, [[2.0, 10.0, 4.0], [23.2] * 3, [100.0] * 3], rtol=1e-6)


@functools.partial(jax.jit, static_argnums=0)
def linear(space, rows, ridge=1e-5):
    return LinearValue.fit(space, *rows, horizon=20, ridge=ridge)


@functools.partial(jax.jit, static_argnums=0)
def table(space, rows):
    return TabularValue.fit(*rows, states=space.n, horizon=20)


@jax.jit
def valued(value, obs, time):
    return value(obs, time)


def made_up(space, size=400):
    """Rows with a smooth target: observation, time, target, weight."""
    rng = np.random.default_rng(1)
    time = rng.integers(0, 20, size)
    if isinstance(space, Box):
        obs = rng.normal(size=(size, *space.shape)).astype(np.float32)
        seen = obs.reshape(size, -1)[:, 0]
    else:
        obs = rng.integers(0, 3, (size, *space.shape)).astype(np.int32)
        seen = obs.reshape(size, -1)[:, 0]
    x = time / 20
    target = 2 * seen - 0.5 * seen**2 + 3 * x - 4 * x**2 + 5 * x**3 + 7
    weight = rng.integers(1, 4, size)
    return tuple(map(jnp.asarray, (obs, time.astype(np.int32), target.astype(np.float32), weight.astype(np.float32))))


SPACES = {
    "box": Box(-np.inf, np.inf, (2,)),
    "image": Box(0.0, 9.0, (2, 2)),
    "discrete": Discrete(3),
    "many": MultiDiscrete((3, 3)),
}
FITS = [(linear, space) for space in SPACES.values()] + [(table, Discrete(3))]


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_the_linear_value_finds_what_is_linear_in_its_features(space):
    obs, time, target, weight = made_up(space)
    np.testing.assert_allclose(valued(linear(space, (obs, time, target, weight)), obs, time), target, atol=2e-3)


@pytest.mark.parametrize(("centre", "scale"), [(0.0, 1.0), (0.0, 1e-4), (500.0, 2.0), (-3.0, 1e5)])
def test_the_linear_value_is_least_squares_on_the_usual_features_whatever_the_unit(centre, scale):
    """Against float64 on (o, o², t, t², t³, 1), for a target with noise that no feature explains."""
    (obs, time, target, weight), space = made_up(SPACES["box"]), SPACES["box"]
    target = target + jnp.asarray(np.random.default_rng(2).normal(size=400), jnp.float32)
    obs = centre + scale * obs
    found = valued(linear(space, (obs, time, target, weight)), obs, time)
    o, x = np.asarray(obs, np.float64), np.asarray(time, np.float64)[:, None] / 20
    usual = np.concatenate([o, o**2, x, x**2, x**3, np.ones_like(x)], axis=1)
    root = np.sqrt(np.asarray(weight, np.float64))
    best = np.linalg.lstsq(usual * root[:, None], np.asarray(target, np.float64) * root, rcond=None)[0]
    np.testing.assert_allclose(found, usual @ best, atol=5e-3)


def test_the_ridge_is_that_of_the_formula():
    """One-hot observations all at one time: the coefficients are those of the normal equations in float64."""
    obs, time = jnp.array([0, 0, 1, 2]), jnp.full(4, 10, jnp.int32)
    target, weight, ridge = jnp.array([1.0, 2.0, 5.0, 9.0]), jnp.array([1.0, 2.0, 1.0, 4.0]), 0.3
    found = LinearValue.fit(Discrete(3), obs, time, target, weight, 20, ridge)
    share = np.asarray(weight, np.float64) / 8
    one_hot = np.eye(3)[np.asarray(obs)]
    off, y = one_hot - share @ one_hot, np.asarray(target, np.float64)
    best = np.linalg.solve(off.T @ (share[:, None] * off) + ridge * np.eye(3), off.T @ (share * (y - share @ y)))
    np.testing.assert_allclose(found.coefficients[:3], best, rtol=1e-5)
    np.testing.assert_allclose(share @ np.asarray(found(obs, time), np.float64), share @ y, rtol=1e-6)


def test_more_ridge_holds_back_the_slopes_but_not_the_level():
    obs, time, target, weight = made_up(SPACES["box"])
    flat = linear(SPACES["box"], (obs, time, target + 1000, weight), ridge=1e6)
    np.testing.assert_allclose(valued(flat, obs, time), np.average(target, weights=weight) + 1000, rtol=1e-4)


@pytest.mark.parametrize(("fit", "space"), FITS)
def test_rows_without_weight_and_rows_from_the_horizon_on_count_for_nothing(fit, space):
    obs, time, target, weight = made_up(space)
    clean = fit(space, (obs, time, target, weight))
    junk = jnp.full_like(obs, jnp.nan if isinstance(space, Box) else 77)[:2]
    with_junk = (
        jnp.concatenate([obs, junk, obs[:1]]),
        jnp.concatenate([time, jnp.array([3, -5, 20], time.dtype)]),
        jnp.concatenate([target, jnp.array([jnp.nan, jnp.inf, 1e6])]),
        jnp.concatenate([weight, jnp.array([0.0, 0.0, 1.0])]),
    )
    found = fit(space, with_junk)
    np.testing.assert_allclose(valued(found, obs, time), valued(clean, obs, time), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("fit", "space"), FITS)
def test_a_weight_of_two_is_a_row_given_twice(fit, space):
    obs, time, target, weight = made_up(space)
    times = np.asarray(weight, int)
    repeated = tuple(jnp.asarray(np.repeat(each, times, axis=0)) for each in (obs, time, target))
    once = fit(space, (*repeated, jnp.ones(times.sum())))
    np.testing.assert_allclose(
        fit(space, (obs, time, target, weight))(obs, time), once(obs, time), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(("fit", "space"), FITS)
def test_fits_can_be_compiled_and_mapped_and_take_any_batch_axes(fit, space):
    rows = made_up(space)
    alone = fit(space, rows)
    obs, time = rows[:2]
    expected = valued(alone, obs, time)
    square = tuple(each.reshape(20, 20, *each.shape[1:]) for each in rows)
    again = jax.jit(lambda rows: fit(space, rows)(*rows[:2]))(square)
    np.testing.assert_allclose(again.reshape(-1), expected, rtol=1e-4, atol=1e-4)
    two = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1]]), rows)
    mapped = jax.vmap(lambda rows: fit(space, rows))(two)
    values = jax.vmap(valued, in_axes=(0, None, None))(mapped, obs, time)
    np.testing.assert_allclose(values, np.stack([expected] * 2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("fit", "space"), FITS)
def test_a_fit_to_no_rows_at_all_is_zero(fit, space):
    obs, time, target, weight = made_up(space)
    np.testing.assert_array_equal(valued(fit(space, (obs, time, target, 0 * weight)), obs, time), 0)


@pytest.mark.parametrize(("fit", "space"), FITS)
def test_a_target_that_counts_and_is_nan_is_not_hidden(fit, space):
    obs, time, target, weight = made_up(space)
    found = fit(space, (obs, time, target.at[7].set(jnp.nan), weight))
    assert np.isnan(valued(found, obs, time)[7])


def test_nothing_is_left_at_the_horizon_whatever_the_polynomial_says():
    obs, time, target, weight = made_up(SPACES["box"])
    later = jnp.array([20, 21, 10_000], jnp.int32)
    np.testing.assert_array_equal(linear(SPACES["box"], (obs, time, target, weight))(obs[:3], later), 0)


def test_an_observation_far_from_all_that_was_seen_is_taken_for_no_farther_than_ten_deviations():
    obs, time, target, weight = made_up(SPACES["box"])
    value = linear(SPACES["box"], (obs, time, target, weight))
    ten = value.centre + 10 * value.scale
    far = jnp.stack([ten, 100 * ten, jnp.full(2, 1e30)])
    found = value(far, jnp.zeros(3, jnp.int32))
    np.testing.assert_allclose(found, found[0], rtol=1e-5)
    assert np.isnan(value(jnp.full((1, 2), jnp.nan), jnp.zeros(1, jnp.int32)))


def test_a_coordinate_that_never_changes_is_no_trouble():
    obs, time, target, weight = made_up(SPACES["box"])
    still = obs.at[:, 1].set(1e4 + 0.1)
    value = linear(SPACES["box"], (still, time, target, weight))
    assert value.scale[1] == 1
    np.testing.assert_allclose(valued(value, still, time), target, atol=2e-3)


def test_in_double_precision_both_are_exact_to_double_precision():
    with jax.enable_x64(True):
        obs, time, _, weight = (np.asarray(each) for each in made_up(SPACES["box"]))
        obs, weight, x = obs.astype(np.float64), weight.astype(np.float64), time / 20
        target = obs[:, 0] - obs[:, 1] ** 2 + x**3
        found = linear(SPACES["box"], (obs, time, target, weight), ridge=1e-14)(jnp.asarray(obs), jnp.asarray(time))
        np.testing.assert_allclose(found, target, atol=1e-11)
        cells = (time % 3, time, np.sin(time), weight)
        np.testing.assert_allclose(table(Discrete(3), cells)(*map(jnp.asarray, cells[:2])), np.sin(time), atol=1e-14)


def test_what_cannot_be_fitted_is_refused():
    rows = made_up(Discrete(3))
    for options, message in [({"horizon": 0}, "horizon is 0"), ({"horizon": 20, "ridge": 0.0}, "ridge is 0")]:
        with pytest.raises(InputError, match=message):
            LinearValue.fit(Discrete(3), *rows, **options)
    for options, message in [
        ({"horizon": 0, "states": 3}, "horizon is 0"),
        ({"horizon": 2, "states": 0}, "states is 0"),
    ]:
        with pytest.raises(InputError, match=message):
            TabularValue.fit(*rows, **options)
