"""The linear-quadratic problem against quadrature, differences and the equations it solves."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from steepest.oracles import LinearQuadratic, double
from steepest.policies import LinearGaussian

NODES, SHARES = np.polynomial.hermite_e.hermegauss(30)
SHARES = SHARES / SHARES.sum()
POLICY = LinearGaussian(-0.35, -0.4)
BOTH = pytest.mark.parametrize("horizon", [None, 3], ids=["endless", "horizon"])


def make(horizon, **changes):
    return LinearQuadratic(**{"discount": 0.9, "horizon": horizon, "initial_mean": 0.7, "process_std": 0.3} | changes)


def mean_over_noise(function, mean, std):
    """E f(mean + std ε), by quadrature."""
    return np.tensordot(SHARES, np.stack([function(mean + std * node) for node in NODES]), axes=1)


@BOTH
def test_values_obey_the_bellman_equation_by_quadrature(horizon):
    problem, sigma = make(horizon), np.exp(-0.4)
    states = np.linspace(-2, 2, 5)
    values = problem.values(POLICY, states)

    def later(successor, time):
        if horizon is None:
            return problem.values(POLICY, successor)
        return problem.values(POLICY, successor)[time + 1] if time + 1 < horizon else np.zeros_like(successor)

    def worth(action, time):
        successor = mean_over_noise(lambda each: later(each, time), states + action, 0.3)
        return -(states**2) - action**2 + 0.9 * successor

    for time in range(horizon or 1):
        at_time = (lambda found: found) if horizon is None else (lambda found, time=time: found[time])
        action = 0.4 - 0.2 * states
        expected = worth(action, time)
        np.testing.assert_allclose(at_time(problem.action_values(POLICY, states, action)), expected, rtol=1e-8)
        bellman = mean_over_noise(lambda each, time=time: worth(each, time), -0.35 * states, sigma)
        np.testing.assert_allclose(at_time(values), bellman, rtol=1e-8)
        advantage = at_time(problem.advantages(POLICY, states, action))
        np.testing.assert_allclose(advantage, expected - bellman, rtol=1e-8, atol=1e-10)


@BOTH
def test_performance_is_the_mean_value_of_the_first_state(horizon):
    problem = make(horizon)

    def value(state):
        found = problem.values(POLICY, np.asarray(state))
        return found if horizon is None else found[0]

    np.testing.assert_allclose(problem.performance(POLICY), mean_over_noise(value, 0.7, 1.0), rtol=1e-8)


def test_without_an_end_it_is_the_limit_of_long_horizons():
    endless, long = make(None), make(400)
    np.testing.assert_allclose(endless.performance(POLICY), long.performance(POLICY), rtol=1e-12)
    for option in ("gain", "log_std"):
        pair = [getattr(problem.policy_gradient(POLICY), option) for problem in (endless, long)]
        np.testing.assert_allclose(*pair, rtol=1e-12)
    np.testing.assert_allclose(endless.fisher(POLICY), long.fisher(POLICY), rtol=1e-12)


def test_moments_are_those_of_one_step_after_the_other():
    first, second = make(None).state_moments(POLICY, 4)
    mean, variance = 0.7, 1.0
    for time in range(4):
        np.testing.assert_allclose([first[time], second[time]], [mean, variance + mean**2], rtol=1e-12)
        mean, variance = 0.65 * mean, 0.65**2 * variance + np.exp(-0.8) + 0.09


@BOTH
def test_the_policy_gradient_is_the_slope_of_the_performance(horizon):
    problem, step = make(horizon), 1e-5

    def slope(gain, log_std):
        ends = [LinearGaussian(-0.35 + sign * gain, -0.4 + sign * log_std) for sign in (1, -1)]
        return (problem.performance(ends[0]) - problem.performance(ends[1])) / (2 * step)

    gradient = problem.policy_gradient(POLICY)
    np.testing.assert_allclose([gradient.gain, gradient.log_std], [slope(step, 0), slope(0, step)], rtol=1e-7)


@pytest.mark.parametrize(("discount_states", "steps"), [(True, None), (False, None), (True, 2), (False, 2)])
def test_both_discountings_by_quadrature(discount_states, steps):
    """G5: Σ_t w_t E[∇log π Q_t] with the score of a Gaussian written out."""
    problem, sigma = make(3), np.exp(-0.4)
    first, second = problem.state_moments(POLICY, 3)
    expected = np.zeros(2)
    for time in range(steps or 3):

        def weighted_score(state, time=time):
            def product(action):
                standard = (action + 0.35 * state) / sigma
                score = np.array([standard * state / sigma, standard**2 - 1])
                return score * problem.action_values(POLICY, np.asarray(state), np.asarray(action))[time]

            return mean_over_noise(product, -0.35 * state, sigma)

        weight = 0.9**time if discount_states else 1.0
        expected += weight * mean_over_noise(weighted_score, first[time], np.sqrt(second[time] - first[time] ** 2))
    found = problem.policy_gradient(POLICY, discount_states=discount_states, steps=steps)
    np.testing.assert_allclose([found.gain, found.log_std], expected, rtol=1e-8)


@BOTH
def test_the_problem_has_the_gradient_the_fisher_information_and_the_surrogate(horizon):
    problem = make(horizon)
    options = {"steps": None if horizon else 4, "discount_states": False}
    weight = horizon or 4
    with jax.enable_x64(True):
        policy = jax.tree.map(jnp.asarray, double(POLICY))
        posed = problem.problem(policy, **options)
        gradient, _ = eqx.filter_jit(posed.gradient)(policy)
        vector, unravel = ravel_pytree(policy)
        hessian = jax.jit(jax.hessian(lambda each: posed.kl(unravel(each))))(vector)
        moved = unravel(vector + 0.2)
        surrogate = eqx.filter_jit(posed.evaluate)(moved)[0]
    exact = problem.policy_gradient(policy, **options)
    np.testing.assert_allclose(np.asarray(gradient.gain) * weight, exact.gain, rtol=1e-8)
    np.testing.assert_allclose(np.asarray(gradient.log_std) * weight, exact.log_std, rtol=1e-8)
    np.testing.assert_allclose(problem.fisher(policy, **options), hessian, rtol=1e-8, atol=1e-10)

    def gain_in(state, time):
        def advantage(action):
            found = problem.advantages(policy, np.asarray(state), np.asarray(action))
            return found if horizon is None else found[time]

        return mean_over_noise(advantage, -0.15 * state, np.exp(-0.2))

    first, second = problem.state_moments(policy, weight)
    deviations = np.sqrt(second - first**2)
    expected = sum(mean_over_noise(lambda s, t=t: gain_in(s, t), first[t], deviations[t]) for t in range(weight))
    np.testing.assert_allclose(surrogate, expected / weight, rtol=1e-6)


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.9, 0.99])
def test_at_the_optimal_gain_the_slope_is_0_whatever_the_noise(discount):
    problem = make(None, discount=discount)
    for log_std in (-1.0, 0.5):
        slope = problem.policy_gradient(LinearGaussian(float(problem.optimal_gain()), log_std)).gain
        assert abs(slope) < 1e-10


def test_the_optimal_gains_in_time_come_to_the_one_without_an_end():
    gains = make(200).optimal_gain()
    np.testing.assert_allclose(gains[0], make(None).optimal_gain(), rtol=1e-12)
    assert gains[-1] == 0  # the last action changes nothing any more


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: make(None).performance(LinearGaussian(0.1, 0.0)), "gain is 0.1; without a horizon"),
        (lambda: make(None).policy_gradient(LinearGaussian(-2.2, 0.0)), "Take a gain nearer to −1"),
        (lambda: make(None).policy_gradient(POLICY, discount_states=False), "nothing here ends"),
        (lambda: make(None).performance(LinearGaussian(float("nan"), 0.0)), "gain is nan"),
        (lambda: make(None).performance(lambda obs: obs), "policy is a function; it must be a LinearGaussian"),
        (lambda: make(None, discount=1.0), "discount is 1; without a horizon it must be below 1"),
        (lambda: make(0), "horizon is 0; it must be a whole number and at least 1"),
        (lambda: make(None, initial_std=-1.0), "initial_std is -1.0; it must be at least 0"),
        (lambda: make(3).policy_gradient(POLICY, steps=4), "steps is 4; it must be"),
    ],
)
def test_what_has_no_answer_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_an_unstable_gain_is_welcome_where_there_is_an_end():
    assert np.isfinite(make(5).performance(LinearGaussian(0.5, 0.0)))
