"""Comparing estimators from Python: what is biased is called so, what is not is not, and which varies least."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Bool, Float

import steepest
from steepest.advantages import AbstractBaseline, WholeReturn
from steepest.core.errors import InputError
from steepest.diagnostics.catalogue import ESTIMATORS
from steepest.diagnostics.setting import fresh_policy, setting
from steepest.envs.cart_pole import CartPole
from steepest.estimators import LikelihoodRatio
from steepest.oracles import LinearQuadratic, TabularMDP, bandit
from steepest.policies import LinearGaussian, TabularPolicy

DISCOUNT = 0.8


def small() -> TabularMDP:
    generator = np.random.default_rng(5)
    transition = generator.dirichlet(np.ones(3), (3, 2))
    return TabularMDP(transition, generator.normal(size=(3, 2)) + 0.5, [0.6, 0.4, 0.0], DISCOUNT)


def softmax(seed: int, states: int = 3, actions: int = 2) -> TabularPolicy:
    return TabularPolicy(jax.random.normal(jax.random.key(seed), (states, actions)))


class Constant(AbstractBaseline):
    value: float = 0.0

    def __call__(self, returns: Float[Array, "T N"], valid: Bool[Array, "T N"]) -> Float[Array, "T N"]:
        return jnp.full_like(returns, self.value)


@pytest.fixture(scope="module")
def everything():
    behaviour = TabularPolicy(softmax(0).logits + softmax(1).logits)
    return steepest.compare_gradients(
        softmax(0), small(), behaviour=behaviour, max_episode_steps=4, episodes=500, repeats=300
    )


def test_all_that_can_be_had_are_compared(everything):
    assert [row.name for row in everything.rows] == [name for name in ESTIMATORS if name != "deterministic"]
    assert everything.reference.exact
    assert "first 4 steps" in everything.reference.meaning


def test_what_estimates_the_gradient_is_not_called_biased(everything):
    unbiased = [row for row in everything.rows if row.estimates == "∇J"]
    assert len(unbiased) == 14
    assert {row.verdict for row in unbiased} == {"no bias found"}
    assert max(row.quality.bias_standard_errors for row in unbiased) < 3.5


@pytest.mark.parametrize(
    "name", ["reward_to_go_undiscounted_states", "importance_first_order", "off_policy", "fresh_action"]
)
def test_what_estimates_something_else_is(everything, name):
    assert everything[name].estimates == "other"
    assert everything[name].verdict == "biased"


def test_better_baselines_vary_less(everything):
    names = ("whole_return", "reward_to_go", "exact_baseline", "gae", "temporal_difference")
    variances = [everything[name].quality.variance for name in names]
    assert variances == sorted(variances, reverse=True)


def test_steps_are_those_that_were_played(everything):
    assert everything["reward_to_go"].steps == 500 * 4
    # A central difference of 6 parameters plays under 12 policies, who share the episodes.
    assert everything["finite_difference"].steps == 12 * (500 // 12) * 4
    row = everything["gae"]
    assert row.variance_steps == row.quality.variance * 2000
    assert everything.steps_needed(row) == pytest.approx(row.variance_steps / everything.reference.norm**2)


def test_columns_are_tidy(everything):
    columns = everything.columns
    assert columns["name"] == [row.name for row in everything.rows]
    assert {len(values) for values in columns.values()} == {len(everything.rows)}
    assert {"bias", "variance", "signal_to_noise", "cosine", "steps", "seconds", "verdict"} <= set(columns)


def test_an_estimator_does_not_depend_on_its_neighbours(everything):
    alone = steepest.compare_gradients(softmax(0), small(), ["gae"], max_episode_steps=4, episodes=500, repeats=300)
    assert alone["gae"].quality == everything["gae"].quality


def test_the_deterministic_gradient_of_the_linear_quadratic_problem():
    """It knows nothing of σ: so it is biased, and only there."""
    policy = LinearGaussian(jnp.asarray(-0.2), jnp.asarray(-0.3))
    problem = LinearQuadratic(DISCOUNT, horizon=5, process_std=0.5, initial_mean=1.0)
    found = steepest.compare_gradients(policy, problem, ["deterministic", "exact_baseline", "gae", "fresh_action"])
    assert [row.verdict for row in found.rows] == ["biased", *["no bias found"] * 3]
    assert found["deterministic"].quality.bias == pytest.approx(abs(found.reference.gradient[1]), rel=0.1)


def test_weights_that_are_too_uneven_are_said_to_be():
    """As the behaviour leaves the policy, the rare weights that make up the mean are not met."""
    far = TabularPolicy(8 * softmax(1).logits)
    found = steepest.compare_gradients(
        softmax(0), small(), ["importance_whole"], behaviour=far, max_episode_steps=30, repeats=10
    )
    assert found["importance_whole"].verdict == "unknown"
    assert "weights so uneven" in found.notes[0]


def test_without_an_oracle_the_reference_has_an_error_of_its_own():
    told = []
    found = steepest.compare_gradients(
        fresh_policy(jax.random.key(0), setting(CartPole(), discount=0.9), hidden=()),
        CartPole(),
        ["reward_to_go", "gae"],
        discount=0.9,
        max_episode_steps=30,
        episodes=20,
        repeats=10,
        report=lambda *event: told.append(event),
    )
    assert not found.reference.exact
    assert 0 < found.reference.standard_error < 0.2 * found.reference.norm
    assert "4,000 other episodes" in found.reference.meaning
    assert "first 30 steps" in found.reference.meaning
    assert found["reward_to_go"].verdict == "no bias found"
    assert found["gae"].estimates == "other"  # its critic is fitted
    assert told[0] == ("reference", 1, 60)
    assert told[-1] == ("gae", 60, 60)


def test_estimators_of_ones_own_are_compared_too():
    own = {"mine": LikelihoodRatio(1.0, WholeReturn(1.0), baseline=Constant(value=0.5))}
    policy = TabularPolicy(jnp.zeros((1, 2)))
    problem = bandit([1.0, 0.0])
    alone = steepest.compare_gradients(policy, problem, own=own, repeats=5)
    assert [(row.name, row.estimates, row.meaning) for row in alone.rows] == [("mine", "?", "LikelihoodRatio")]
    both = steepest.compare_gradients(policy, problem, ["whole_return"], own=own, repeats=5)
    assert both["mine"].quality.variance < both["whole_return"].quality.variance


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"estimators": ["gaee"]}, "did you mean 'gae'"),
        ({"estimators": ["off_policy"]}, "estimator off_policy needs episodes of another policy"),
        ({"estimators": ["deterministic"]}, "needs continuous actions"),
        ({"discount": 0.5}, "discount is 0.5; the problem given has 0.8"),
        ({"discount": 1.5}, "discount is 1.5"),
        ({"episodes": 0}, "episodes is 0"),
        ({"max_episode_steps": None}, "has no horizon"),
        ({"policy": 3}, "policy is a int"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused(options, says):
    given = {"policy": softmax(0), "env": small(), "max_episode_steps": 4} | options
    with pytest.raises(InputError, match=says):
        inspect.unwrap(steepest.compare_gradients)(**given)  # as users call it, without a check of types


def test_on_the_cliff_each_step_of_the_lectures_lessens_the_variance():
    """1,000 episodes of CliffWalking with a time limit of 100, γ = 0.99, a random softmax policy.

    All estimators meet the same episodes, so a few repeats order them.
    """
    place = setting("CliffWalking-v1", discount=0.99)
    policy = softmax(0, 48, 4)
    performance = float(place.oracle.performance(place.oracle.probabilities(policy)))
    grid = {
        f"constant {share:g}": LikelihoodRatio(
            0.99, WholeReturn(0.99), baseline=Constant(value=float(share * performance))
        )
        for share in (0, 0.5, 0.75, 1, 1.5)
    }
    ladder = ["whole_return", "reward_to_go", "reward_to_go_average_baseline", "exact_baseline"]
    optimal = ["whole_return_optimal_scalar_baseline", "whole_return_optimal_baseline"]
    found = steepest.compare_gradients(policy, place, ladder + optimal, own=grid, episodes=1000, repeats=30)
    variance = {row.name: row.quality.variance for row in found.rows}
    assert variance[ladder[0]] > 2 * variance[ladder[1]] > 4 * variance[ladder[2]] > 5 * variance[ladder[3]]
    least = min(variance[name] for name in grid)
    assert least == variance["constant 1"] < 0.9 * variance["constant 0.75"]
    # The grid holds the best constant nearly, and the leave-one-out form finds it but for an error of one in thousand.
    assert variance[optimal[0]] < 1.02 * least
    assert variance[optimal[1]] < 0.95 * least
    assert variance[optimal[0]] < min(value for name, value in variance.items() if name in grid and value > least)
