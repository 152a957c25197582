"""The theorems hold, and the parts that their checks are made of are right."""

import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.core.errors import InputError, StorageFault
from steepest.oracles import TabularMDP, random_mdp
from steepest.policies import LinearGaussian
from steepest.theorems import THEOREMS, Claim, Result, theorem
from steepest.theorems.baselines import NAMES, variances
from steepest.theorems.bootstrapping import LAMBDAS, STEPS, curves
from steepest.theorems.constrained import natural_step, numerical_gain
from steepest.theorems.directions import angle, fields, starting_at_rest
from steepest.theorems.enumeration import discounted_to_go, every_trajectory, moments, probability, rewards, scores
from steepest.theorems.figures import FIGURES, draw
from steepest.theorems.greedy import HORIZON, fitted_policy_iteration, limited_steps, temptation
from steepest.theorems.pinsker import gaussian_total_variation
from steepest.theorems.two_actions import climb


@pytest.mark.parametrize("name", THEOREMS)
def test_every_theorem_holds_on_a_seed_that_nobody_chose(name):
    result = theorem(name)(20_231, 25)
    assert result.id == name
    assert {claim.what: claim.measured for claim in result.claims if not claim.holds} == {}
    assert result.claims
    assert result.instances >= 1


def test_the_performance_difference_lemma_is_seen_on_1000_problems_in_half_a_minute():
    start = time.monotonic()
    result = theorem("T1")(0, None)
    assert result.instances == 1000
    assert max(claim.measured for claim in result.claims) <= 1e-10
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("name", ["T2", "T12"])
def test_what_is_measured_depends_on_the_seed_alone(name):
    found = [[claim.measured for claim in theorem(name)(seed, 5).claims] for seed in (1, 1, 2)]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_theorem_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="unknown theorem 'T13'"):
        theorem("T13")


@pytest.mark.parametrize(
    ("measured", "relation", "holds", "slack"),
    [
        (0.5, "≤", True, 0.5),
        (1.5, "≤", False, -0.5),
        (1.5, "≥", True, 0.5),
        (0.5, "≥", False, -0.5),
        (1.0, "≤", True, 0),
    ],
)
def test_a_claim_holds_on_the_right_side_of_its_bound(measured, relation, holds, slack):
    claim = Claim("x", measured, 1.0, relation)
    assert (claim.holds, claim.slack) == (holds, slack)
    assert Result("T0", "x", 1, (Claim("y", 0.0, 1.0), claim)).holds == holds


@pytest.mark.parametrize("measured", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("relation", ["≤", "≥"])
def test_what_is_not_finite_does_not_hold(measured, relation):
    assert not Claim("x", measured, 1.0, relation).holds


def test_enumeration_agrees_with_one_trajectory_at_a_time():
    mdp, steps = random_mdp(0, 2, 3, discount=0.8, horizon=3), 3
    probs = np.random.default_rng(0).dirichlet(np.ones(3), 2)
    every = every_trajectory(2, 3, steps)
    assert len({(*s, *a) for s, a in zip(every.states.tolist(), every.actions.tolist(), strict=True)}) == 6**3
    with jax.enable_x64(True):
        chance, reward, score = probability(mdp, probs, every), rewards(mdp, every), scores(probs, every)
        to_go = discounted_to_go(reward, jnp.asarray(0.8))
        mean, variance = moments(chance, to_go)
        chance, reward, score, to_go, mean, variance = map(np.asarray, (chance, reward, score, to_go, mean, variance))
    np.testing.assert_allclose(chance.sum(), 1, rtol=1e-12)
    np.testing.assert_allclose(mean[0], mdp.performance(probs), rtol=1e-12)
    for row in (0, 17, 215):
        states, actions = every.states[row], every.actions[row]
        expected = mdp.initial[states[0]]
        for t in range(steps):
            expected *= probs[states[t], actions[t]]
            expected *= mdp.transition[states[t], actions[t], states[t + 1]] if t + 1 < steps else 1
            assert reward[row, t] == mdp.reward[states[t], actions[t]]
            slope = np.zeros((2, 3))
            slope[states[t]] = np.eye(3)[actions[t]] - probs[states[t]]
            np.testing.assert_allclose(score[row, t], slope.ravel(), rtol=1e-12)
            np.testing.assert_allclose(to_go[row, t], sum(0.8 ** (k - t) * reward[row, k] for k in range(t, steps)))
        np.testing.assert_allclose(chance[row], expected, rtol=1e-12)
    np.testing.assert_allclose(variance, (chance[:, None] * to_go**2).sum() - (mean**2).sum(), rtol=1e-10)


def test_the_total_variation_of_normal_distributions_is_the_integral():
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=(2, 5)), np.exp(rng.normal(size=(2, 5)))
    grid = np.linspace(-40, 40, 400_001)[:, None]
    density = [np.exp(-0.5 * ((grid - m) / s) ** 2) / s / np.sqrt(2 * np.pi) for m, s in zip(mean, std, strict=True)]
    integral = 0.5 * np.abs(density[0] - density[1]).sum(axis=0) * (grid[1] - grid[0])
    with jax.enable_x64(True):
        found = np.asarray(gaussian_total_variation(jnp.asarray(mean), jnp.asarray(std)))
    np.testing.assert_allclose(found, integral, rtol=1e-6)


def test_the_search_finds_the_best_point_of_an_ellipse():
    """In two dimensions all points can be looked at."""
    gradient, metric = np.array([1.0, -2.0]), np.array([[2.0, 0.5], [0.5, 0.3]])
    turn = np.linspace(0, 2 * np.pi, 1_000_001)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    ellipse = circle * np.sqrt(2 * 0.1 / np.einsum("in,ij,jn->n", circle, metric, circle))
    best = gradient @ ellipse
    with jax.enable_x64(True):
        given = jnp.asarray(gradient), jnp.asarray(metric)
        found = float(numerical_gain(*given, 0.1, jnp.asarray([[1.0, 0.0], [0.3, -0.5]])))
        step = np.asarray(natural_step(*given, 0.1))
    np.testing.assert_allclose(found, best.max(), rtol=1e-9)
    np.testing.assert_allclose(step, ellipse[:, best.argmax()], rtol=1e-4)


def test_the_temptation_by_hand():
    """At home 10 steps pay 10. Leaving at once pays 2.5, and then costs 2 at each of 9 steps."""
    mdp = temptation()
    stay, leave = (np.tile(np.eye(2)[action], (2, 1)) for action in (0, 1))
    assert mdp.performance(stay) == HORIZON
    assert mdp.performance(leave) == 2.5 - 2 * (HORIZON - 1)
    found = fitted_policy_iteration().performance
    np.testing.assert_array_equal(found[:4], [10, -15.5, 10, -15.5])
    best = max(mdp.performance(np.tile([p, 1 - p], (2, 1))) for p in np.linspace(0, 1, 2001))
    np.testing.assert_allclose(limited_steps()[-1], best, rtol=1e-5)


def test_directions_are_those_of_the_formulas():
    """∂J/∂σ = 2σ ∂J/∂σ², by differences; the natural gradient turns both by their own metric."""
    problem, gain, std, step = starting_at_rest(), -0.4, 0.2, 1e-6

    def performance(k, s):
        return float(problem.performance(LinearGaussian(k, float(np.log(s)))))

    plain, natural = fields(np.array([gain]), np.array([std]))
    slopes = [
        (performance(gain + step, std) - performance(gain - step, std)) / (2 * step),
        (performance(gain, std + step) - performance(gain, std - step)) / (2 * step),
    ]
    np.testing.assert_allclose(plain[:, 0], slopes, rtol=1e-6)
    square = problem.fisher(LinearGaussian(gain, float(np.log(std))))[0, 0]
    np.testing.assert_allclose(natural[:, 0], [slopes[0] / square, slopes[1] * std**2 / 2], rtol=1e-6)
    np.testing.assert_allclose(angle(np.array([[1.0], [0.0]]), np.array([[0.0], [-2.0]])), 90)
    np.testing.assert_allclose(angle(np.array([[1.0], [0.0]]), np.array([[-3.0], [0.0]])), 180)


def test_natural_ascent_adds_99_times_the_rate_to_the_log_odds():
    found = climb("natural", -3.0)
    share = (found - 1) / 99
    np.testing.assert_allclose(np.diff(np.log(share[:8] / (1 - share[:8]))), 0.99, rtol=1e-9)


def test_numbers_behind_the_pictures_are_in_order():
    found = variances(0, 20)
    assert found.shape == (20, len(NAMES))
    np.testing.assert_array_equal(found[:, 0], 1)
    assert np.all(found[:, 5] <= found[:, 4] + 1e-12)  # one for each parameter is no worse than one for all
    bias, variance, _, _ = curves(0, 20)
    assert bias.shape == variance.shape == (20, STEPS + len(LAMBDAS))
    # One step is λ = 0, and all of them are λ = 1.
    for one, other in ((0, STEPS), (STEPS - 1, -1)):
        np.testing.assert_allclose(bias[:, one], bias[:, other], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(variance[:, one], variance[:, other], rtol=1e-9)


def test_the_best_policy_of_all_loses_nothing_by_the_lemma():
    """T1 by brute force: no deterministic policy has an advantage over the optimal one anywhere."""
    mdp = random_mdp(3, 3, 2)
    _, actions = mdp.optimal()
    advantages = mdp.advantages(np.eye(2)[actions])
    assert advantages.max() < 1e-10
    for choice in itertools.product(range(2), repeat=3):
        other = np.eye(2)[list(choice)]
        gained = (mdp.state_distribution(other)[:, None] * other * advantages).sum()
        np.testing.assert_allclose(mdp.performance(other) - mdp.performance(np.eye(2)[actions]), gained, atol=1e-10)


def test_pictures_are_written_for_those_that_were_chosen(tmp_path):
    written = draw(["T6", "T8", "T1"], tmp_path / "new", seed=0)
    assert [path.name for path in written] == ["T6-two-actions.png", "T8-collapse.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    assert set(FIGURES) == {"T6", "T7", "T8", "T10", "T11"}


def test_a_place_that_cannot_be_written_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFault, match="it cannot be written"):
        draw(["T8"], tmp_path / "file", seed=0)


def test_a_problem_under_a_trace_is_checked_by_its_shapes():
    with pytest.raises(InputError, match=r"transition has shape \[2, 2, 3\]"):
        jax.eval_shape(lambda x: TabularMDP(x, jnp.ones((2, 2)), jnp.ones(2), 0.9).reward, jnp.ones((2, 2, 3)))
