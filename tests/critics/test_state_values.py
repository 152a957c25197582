"""C1, C2, C3: a critic fitted to each kind of target says what the states are worth."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_mdp import CYCLE, LADDER, POLICY, fitted, linear_critic, streams

from steepest.advantages import GAE, MonteCarlo, NStep
from steepest.core.trajectory import flatten
from steepest.critics import ClippedRegression, ValueRegression

DISCOUNT = 0.8
STATES = jnp.arange(3)
TARGETS = {
    "1 step": NStep(DISCOUNT, 1),
    "3 steps": NStep(DISCOUNT, 3),
    "gae_lambda 0": GAE(DISCOUNT, 0.0),
    "gae_lambda 0.6": GAE(DISCOUNT, 0.6),
    "gae_lambda 1": GAE(DISCOUNT, 1.0),
    "Monte Carlo": MonteCarlo(DISCOUNT),
}


@pytest.fixture(scope="module")
def everything():
    """All streams of three steps; episodes terminate, are truncated, and others begin."""
    return streams(CYCLE, POLICY, 3, cut=0.25)


def regression(trajectory, target, weight):
    return ValueRegression(*flatten(((trajectory.obs,), target, weight)))


def estimated(advantage, trajectory, value, next_value):
    return advantage(trajectory, value, next_value)


@jax.jit
def returns(trajectory):
    nothing = jnp.zeros(trajectory.reward.shape)
    return MonteCarlo(DISCOUNT)(trajectory, nothing, nothing).value_target


def test_the_enumeration_is_complete(everything):
    assert everything.probable.sum() == pytest.approx(1, abs=1e-12)
    assert bool(jnp.any(everything.trajectory.terminated))
    assert bool(jnp.any(everything.trajectory.truncated))


def test_a_fit_to_all_returns_by_their_probability_is_the_value():
    episodes = streams(LADDER, POLICY, 3, whole=True)
    problem = regression(episodes.trajectory, returns(episodes.trajectory), episodes.weight)
    np.testing.assert_allclose(
        fitted(problem, linear_critic())(STATES), LADDER.state_value(POLICY, DISCOUNT), rtol=1e-5
    )


def test_a_fit_to_sampled_returns_is_the_value_within_the_sampling_error():
    episodes = streams(LADDER, POLICY, 3, whole=True)
    drawn = np.random.default_rng(0).choice(len(episodes.probable), 20_000, p=episodes.probable)
    sampled = jax.tree.map(lambda leaf: leaf[:, drawn], episodes.trajectory)
    target, weight = returns(sampled), sampled.valid.astype(jnp.float32)
    found = jax.jit(fitted)(regression(sampled, target, weight), linear_critic())(STATES)
    # No episode comes to a state twice, so the returns from a state are independent.
    rows = [np.asarray(target)[np.asarray(sampled.valid & (sampled.obs == state))] for state in range(3)]
    error = np.array([each.std() / np.sqrt(len(each)) for each in rows])
    assert np.all(error < 0.05)
    assert np.all(np.abs(found - LADDER.state_value(POLICY, DISCOUNT)) < 4 * error)


@pytest.mark.parametrize("kind", TARGETS)
def test_the_value_is_the_fixed_point_of_every_target(kind, everything):
    """E[target | s] = V(s), wherever in a stream the state is met, and however its episode ends."""
    truth, trajectory = CYCLE.state_value(POLICY, DISCOUNT), everything.trajectory
    value = jnp.asarray(truth, jnp.float32)
    estimates = jax.jit(estimated)(TARGETS[kind], trajectory, value[trajectory.obs], value[trajectory.next_obs])
    target, weight = (np.asarray(each, np.float64) for each in (estimates.value_target, everything.weight))
    for step, obs in enumerate(np.asarray(trajectory.obs)):
        found = [np.average(target[step, obs == state], weights=weight[step, obs == state]) for state in range(3)]
        np.testing.assert_allclose(found, truth, rtol=1e-5)


@pytest.mark.parametrize("kind", TARGETS)
def test_fitting_again_and_again_to_bootstrapped_targets_ends_at_the_value(kind, everything):
    found = evaluated(TARGETS[kind], everything.trajectory, everything.weight)
    np.testing.assert_allclose(found, CYCLE.state_value(POLICY, DISCOUNT), atol=5e-5)


@pytest.mark.parametrize("kind", ["1 step", "gae_lambda 0.6"])
@pytest.mark.parametrize("confusion", ["a truncation taken for a termination", "a termination taken for a truncation"])
def test_to_merge_the_two_kinds_of_end_gives_other_values(kind, confusion, everything):
    trajectory = everything.trajectory
    ended, never = trajectory.terminated | trajectory.truncated, jnp.zeros_like(trajectory.terminated)
    terminated, truncated = (ended, never) if confusion.startswith("a truncation") else (never, ended)
    merged = dataclasses.replace(trajectory, terminated=terminated, truncated=truncated)
    found = evaluated(TARGETS[kind], merged, everything.weight)
    assert np.max(np.abs(found - CYCLE.state_value(POLICY, DISCOUNT))) > 0.3


@jax.jit
def evaluated(advantage, trajectory, weight):
    """Fitted policy evaluation: the values of the three states after 60 fits."""

    def once(critic, _):
        estimates = advantage(trajectory, critic(trajectory.obs), critic(trajectory.next_obs))
        return fitted(regression(trajectory, estimates.value_target, weight), critic), None

    return jax.lax.scan(once, linear_critic(), length=60)[0](STATES)


def test_a_row_without_weight_counts_for_nothing_even_when_its_target_is_nan():
    obs, target = jnp.array([0, 1, 2]), jnp.array([1.0, 2.0, jnp.nan])
    critic = linear_critic()
    (gradient, _), (without, _) = (
        ValueRegression((obs[:rows],), target[:rows], jnp.array([1.0, 1.0, 0.0])[:rows]).gradient(critic)
        for rows in (3, 2)
    )
    jax.tree.map(np.testing.assert_array_equal, gradient, without)


def test_no_gradient_flows_through_a_target_that_was_made_of_the_critic():
    """C2: the target is a number, although the same parameters said it."""
    critic = linear_critic()
    one = jnp.ones(3)

    def objective(critic, target):
        return ValueRegression((STATES,), target, one).evaluate(critic)[0]

    def bootstrapped(critic):
        return 0.5 + 0.8 * critic(jnp.roll(STATES, 1))

    made = jax.grad(lambda each: objective(each, bootstrapped(each)))(critic)
    constant = jax.grad(lambda each: objective(each, bootstrapped(critic)))(critic)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), made, constant)


@pytest.mark.parametrize(
    ("value", "target", "loss", "moves"),
    [
        (1.3, 2.0, 0.5 * 0.8**2, False),  # beyond the radius, towards the target: nothing more to gain
        (0.5, 2.0, 0.5 * 1.5**2, True),  # beyond it, away from the target: the way back is open
        (1.1, 2.0, 0.5 * 0.9**2, True),  # within it
    ],
)
def test_beyond_the_clip_radius_a_value_gains_nothing_more(value, target, loss, moves):
    """V_old is 1, and the radius 0.2."""
    rows = ValueRegression((jnp.zeros(1),), jnp.array([target]), jnp.ones(1))
    problem = ClippedRegression(rows, jnp.ones(1), 0.2)

    def critic(value):
        return lambda obs: value + 0 * obs

    objective, slope = jax.value_and_grad(lambda value: problem.evaluate(critic(value))[0])(value)
    np.testing.assert_allclose(-objective, loss, rtol=1e-5)
    assert bool(jnp.abs(slope) > 0) == moves
    several = ClippedRegression(
        ValueRegression((jnp.zeros(3),), jnp.array([target, jnp.nan, 0.0]), jnp.array([1.0, 0.0, 1.0])),
        jnp.array([1.0, 1.0, 5.0]),
        0.2,
    )
    np.testing.assert_allclose(several.minibatch(jnp.array([0, 1])).evaluate(critic(value))[0], objective, rtol=1e-5)
