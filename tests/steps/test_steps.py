"""Step rules on problems whose answer is known."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from steepest.core.errors import InputError
from steepest.core.problem import AbstractMaximisation, SampledProblem
from steepest.core.schedules import Linear, at_progress
from steepest.core.trajectory import Batch
from steepest.objectives import Score
from steepest.policies import TabularPolicy
from steepest.steps import Ascent, MinibatchAscent, Optimiser, adam, root_mean_square
from steepest.steps.shuffle import shuffled, shuffled_at


class Hill(AbstractMaximisation):
    """$-\\tfrac12\\,\\mathrm{mean}_i |x - c_i|^2$: its top is the mean of the c."""

    centres: jax.Array
    whole: int | None = eqx.field(static=True, default=None)

    @property
    def size(self):
        return self.centres.shape[0]

    @property
    def streams(self):
        return self.whole

    def minibatch(self, indices):
        return Hill(self.centres[indices], self.whole)

    def evaluate(self, parameters):
        return -0.5 * jnp.mean(jnp.sum(jnp.square(parameters["x"][None] - self.centres), axis=1)), {}


@pytest.fixture
def hill():
    return Hill(jax.random.normal(jax.random.key(0), (48, 2)) + jnp.array([[3.0, -1.0]]))


START = {"x": jnp.zeros(2)}
KEY = jax.random.key(7)


def plain() -> optax.GradientTransformation:
    return optax.identity()


def test_plain_ascent_moves_by_the_rate_times_the_gradient(hill):
    rule = Ascent(Optimiser(0.1, direction=plain))
    moved, _, info = rule.step(KEY, START, hill, rule.init(START))
    gradient = jnp.mean(hill.centres, axis=0)
    np.testing.assert_allclose(moved["x"], 0.1 * gradient, rtol=1e-5)
    np.testing.assert_allclose(info["gradient_norm"], jnp.linalg.norm(gradient), rtol=1e-5)
    np.testing.assert_allclose(info["objective"], hill.evaluate(START)[0], rtol=1e-5)


@pytest.mark.parametrize("direction", [adam, root_mean_square])
@pytest.mark.parametrize("minibatches", [False, True])
def test_the_top_of_the_hill_is_found(hill, direction, minibatches):
    optimiser = Optimiser(Linear(0.05, 0.0), direction=direction)
    rule = MinibatchAscent(optimiser, epochs=2, minibatch_size=12) if minibatches else Ascent(optimiser)

    def step(carry, row):
        key, progress = row
        parameters, state, _ = at_progress(rule, progress).step(key, *carry[:1], hill, carry[1])
        return (parameters, state), None

    rows = jax.random.split(KEY, 400), jnp.arange(400, dtype=jnp.float32) / 400
    (found, _), _ = jax.lax.scan(step, (START, rule.init(START)), rows)
    np.testing.assert_allclose(found["x"], jnp.mean(hill.centres, axis=0), atol=0.02)


def test_a_long_gradient_is_shortened_as_a_whole():
    """The global norm is clipped, not each element: the direction stays."""
    rule = Optimiser(1.0, clip_global_norm=0.5, direction=plain)
    gradient, zero = jnp.array([3.0, 0.0, 4.0]), jnp.zeros(3)
    moved, _, norm = rule.apply(zero, gradient, rule.init(zero))
    np.testing.assert_allclose(norm, 5.0)
    np.testing.assert_allclose(moved, [0.3, 0.0, 0.4], rtol=1e-6)
    short, _, _ = rule.apply(zero, gradient / 100, rule.init(zero))
    np.testing.assert_allclose(short, [0.03, 0.0, 0.04], rtol=1e-6)


def test_clipping_does_not_hide_nan_and_a_zero_gradient_stays_zero():
    rule = Optimiser(1.0, clip_global_norm=0.5, direction=plain)
    zero = jnp.zeros(2)
    moved, _, _ = rule.apply(zero, jnp.array([jnp.nan, 1.0]), rule.init(zero))
    assert jnp.all(jnp.isnan(moved))
    moved, _, norm = rule.apply(zero, zero, rule.init(zero))
    np.testing.assert_array_equal(moved, 0)
    assert norm == 0


def test_annealing_falls_linearly_and_counts_updates_not_minibatches():
    rule = MinibatchAscent(Optimiser(Linear(0.1, 0.0), direction=plain), epochs=3, minibatch_size=16)
    state = rule.init(START)
    flat = Hill(jnp.zeros((48, 2)) + jnp.array([[1.0, 0.0]]))
    moves = []
    for update in range(5):
        moved, state, _ = at_progress(rule, jnp.asarray(update / 4)).step(KEY, START, flat, state)
        moves.append(float(moved["x"][0]))
    # Nine steps towards 1 at rate r leave (1 − r)^9 of the way.
    expected = [1 - (1 - 0.1 * (1 - k / 4)) ** 9 for k in range(4)] + [0.0]
    np.testing.assert_allclose(moves, expected, rtol=1e-4, atol=1e-6)


def test_every_row_is_used_once_in_every_epoch():
    """With plain ascent on a linear objective the order does not matter, so one epoch is exactly the full sum."""

    class Slope(Hill):
        def minibatch(self, indices):
            return Slope(self.centres[indices])

        def evaluate(self, parameters):
            return jnp.sum(parameters["x"] * jnp.sum(self.centres, axis=0)), {}

    rows = jnp.stack([2.0 ** jnp.arange(24.0), jnp.ones(24)], axis=1)
    rule = MinibatchAscent(Optimiser(1.0, direction=plain), epochs=1, minibatch_size=6)
    moved, _, info = rule.step(KEY, START, Slope(rows), rule.init(START))
    np.testing.assert_array_equal(moved["x"], [2.0**24 - 1, 24])
    assert info["epochs"] == 1


def test_a_minibatch_that_does_not_divide_is_refused(hill):
    rule = MinibatchAscent(Optimiser(0.1), epochs=1, minibatch_size=7)
    with pytest.raises(ValueError, match="minibatch_size is 7; it must divide the 48 rows"):
        rule.step(KEY, START, hill, rule.init(START))


def test_a_finite_kl_stop_needs_a_problem_with_a_kl(hill):
    rule = MinibatchAscent(Optimiser(0.1), epochs=1, minibatch_size=12, kl_stop=0.1)
    with pytest.raises(TypeError, match="the problem has none"):
        rule.step(KEY, START, hill, rule.init(START))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Optimiser(0.0), "learning_rate is 0.0; it must be above 0"),
        (lambda: Optimiser(0.1, clip_global_norm=-1.0), "clip_global_norm is -1.0"),
        (lambda: MinibatchAscent(Optimiser(0.1), 0, 1), "epochs is 0"),
        (lambda: MinibatchAscent(Optimiser(0.1), 1, 0), "minibatch_size is 0"),
        (lambda: MinibatchAscent(Optimiser(0.1), 1, 1, -1.0), "kl_stop is -1.0"),
    ],
)
def test_what_cannot_work_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_second_step_is_not_traced_again(hill):
    rule = MinibatchAscent(Optimiser(0.1), epochs=2, minibatch_size=12)
    traces = []

    @jax.jit
    def step(rule, key, parameters, state):
        traces.append(None)
        return rule.step(key, parameters, hill, state)[:2]

    carry = START, rule.init(START)
    for seed in range(3):
        carry = step(rule, jax.random.key(seed), *carry)
    step(eqx.tree_at(lambda each: each.optimiser.learning_rate, rule, 0.2), KEY, *carry)
    assert len(traces) == 1


@pytest.mark.parametrize("size", [1, 2, 7, 12, 13, 60, 256, 2048, 1000])
def test_a_shuffle_is_a_permutation(size):
    found = np.asarray(jax.jit(shuffled, static_argnums=1)(KEY, size))
    np.testing.assert_array_equal(np.sort(found), np.arange(size))


def test_a_shuffle_puts_every_row_anywhere_and_any_two_rows_apart():
    """Positions are uniform, and neighbours land in the same quarter no more often than chance has it."""
    size, draws = 64, 4000
    orders = np.asarray(jax.jit(jax.vmap(lambda key: shuffled(key, size)))(jax.random.split(KEY, draws)))
    for row in (0, 17, 63):
        counts = np.bincount(np.argwhere(orders == row)[:, 1], minlength=size)
        chi_square = ((counts - draws / size) ** 2 / (draws / size)).sum()
        assert chi_square < 63 + 5 * math.sqrt(2 * 63)
    quarter = np.argsort(orders, axis=1) // 16
    together = (quarter[:, :-1] == quarter[:, 1:]).mean()
    np.testing.assert_allclose(together, 15 / 63, atol=0.01)


def test_no_further_pass_is_made_once_the_policy_has_moved_far_enough():
    """A KL is measured after each pass over all rows; the first that exceeds the stop is the last."""
    policy = TabularPolicy(jnp.zeros((1, 2)))
    obs = jnp.zeros(32, jnp.int32)
    batch = Batch(obs, obs, jnp.full(32, -math.log(2)), jnp.ones(32), jnp.ones(32))
    problem = SampledProblem(Score(), batch, policy(obs))

    def passes(kl_stop):
        rule = MinibatchAscent(Optimiser(0.1, direction=plain), epochs=9, minibatch_size=8, kl_stop=kl_stop)
        moved, _, info = jax.jit(lambda policy: rule.step(KEY, policy, problem, rule.init(policy)))(policy)
        return int(info["epochs"]), float(problem.kl(moved))

    epochs, after_one = passes(1e-12)
    assert epochs == 1
    assert passes(1e9)[0] == 9
    made, reached = passes(3 * after_one)
    assert 1 < made < 9
    assert reached > 3 * after_one


@pytest.mark.parametrize("size", [1, 2, 7, 15, 16, 17, 97, 100, 101, 2048])
def test_a_shuffle_read_in_places_is_a_permutation(size):
    """Primes too: the rectangle is then larger than the rows."""
    places = jnp.arange(size, dtype=jnp.int32)
    whole = np.asarray(jax.jit(shuffled_at, static_argnums=1)(KEY, size, places))
    assert sorted(whole.tolist()) == list(range(size))
    some = jax.random.randint(KEY, (5,), 0, size, jnp.int32)
    np.testing.assert_array_equal(shuffled_at(KEY, size, some), whole[some])


def test_a_shuffle_read_in_places_puts_every_row_anywhere():
    """Where a row ends up is uniform: a χ² of each row's places, none far beyond its degrees of freedom."""
    size, draws = 23, 4000
    places = jnp.arange(size, dtype=jnp.int32)
    orders = np.asarray(jax.jit(jax.vmap(lambda key: shuffled_at(key, size, places)))(jax.random.split(KEY, draws)))
    counts = np.stack([np.bincount(orders[:, place], minlength=size) for place in range(size)])
    chi_square = ((counts - draws / size) ** 2 / (draws / size)).sum(axis=1)
    assert chi_square.max() < size - 1 + 5 * np.sqrt(2 * (size - 1))


def test_whole_streams_stay_in_order_and_come_once_in_every_epoch():
    """12 steps of 8 streams in minibatches of two streams: each is [T, 2], every row once."""
    rule, problem = MinibatchAscent(Optimiser(0.1), epochs=1, minibatch_size=24), Hill(jnp.zeros((96, 2)), whole=8)
    rows = np.asarray(rule._rows(KEY, problem))
    assert rows.shape == (4, 24)
    assert sorted(rows.ravel()) == list(range(96))
    for minibatch in rows.reshape(4, 12, 2):
        np.testing.assert_array_equal(minibatch // 8, np.arange(12)[:, None] + np.zeros((12, 2), int))
        np.testing.assert_array_equal(minibatch % 8, np.broadcast_to(minibatch[0] % 8, (12, 2)))
    assert (np.asarray(rule._rows(jax.random.key(1), problem)) != rows).any()


def test_minibatches_of_streams_climb_where_minibatches_of_rows_do(hill):
    rule = MinibatchAscent(Optimiser(0.3, direction=plain), epochs=30, minibatch_size=48)
    for streams in (None, 12):
        found, _, _ = rule.step(KEY, START, Hill(hill.centres, whole=streams), rule.init(START))
        np.testing.assert_allclose(found["x"], jnp.mean(hill.centres, axis=0), atol=1e-3)
    rule = MinibatchAscent(Optimiser(0.3), epochs=1, minibatch_size=6)
    with pytest.raises(ValueError, match="in whole streams it must be a multiple of their 4 rows"):
        rule.step(KEY, START, Hill(hill.centres, whole=12), rule.init(START))


def test_a_schedule_without_a_clock_is_refused(hill):
    rule = Ascent(Optimiser(Linear(0.1, 0.0)))
    with pytest.raises(InputError, match="learning_rate is a schedule"):
        rule.step(KEY, START, hill, rule.init(START))
