"""Every estimator against its exact target, from sampled episodes, through the one function that users call.

The mean over repeats must lie within four standard errors of the target in every coordinate. Each row takes as many
episodes as make an error of 5 % of the target stand out: six standard errors in at least one coordinate, which
is checked too. That is 10⁵ to 10⁶ episodes. Every row meets one tabular world here, and the linear-quadratic one where
it can; over all episodes of both tabular worlds its mean is exact in `test_enumeration.py`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import steepest
from conformance.worlds import (
    ACTIONS,
    DISCOUNT,
    LENGTH,
    STATES,
    endless,
    expected_advantages,
    finite,
    gradient_with,
    policy,
    wrong_values,
)
from steepest.advantages import (
    GAE,
    AveragePerTimeStep,
    AverageReturn,
    AverageReturnToGo,
    ImportanceWeighted,
    MonteCarlo,
    NStep,
    WholeReturn,
)
from steepest.core.spaces import Box
from steepest.critics import LinearValue, TabularValue
from steepest.estimators import (
    DeterministicGradient,
    FittedCritic,
    FreshAction,
    ImportanceSampled,
    LikelihoodRatio,
    OffPolicy,
    Perturbed,
    VarianceOptimal,
)
from steepest.oracles import LinearQuadratic, TabularMDP
from steepest.perturbation import FiniteDifference, Regression
from steepest.policies import LinearGaussian, TabularPolicy

LINEAR = LinearQuadratic(DISCOUNT, horizon=LENGTH, initial_std=0.7, initial_mean=0.5)
GAUSSIAN = LinearGaussian(jnp.asarray(-0.2), jnp.asarray(-0.3))
OTHER_GAUSSIAN = LinearGaussian(jnp.asarray(-0.3), jnp.asarray(-0.1))
BEHAVIOUR = policy(9)
ANY_Q = np.random.default_rng(2).normal(size=(STATES, ACTIONS))


@dataclasses.dataclass(frozen=True)
class Row:
    """An estimator, its target, and how many episodes it takes."""

    estimator: Any
    target: Callable[[Any], Any]
    worlds: tuple[str, ...] = ("finite", "linear")
    episodes: int = 4000
    repeats: int = 50


def cut(mdp):
    if isinstance(mdp, LinearQuadratic):
        return mdp
    return TabularMDP(mdp.transition, mdp.reward, mdp.initial, mdp.discount, horizon=LENGTH)


def of_returns(world):
    """∇ of the mean return of the episodes as they are sampled."""
    return cut(world).policy_gradient(acting(world))


def acting(world):
    return GAUSSIAN if isinstance(world, LinearQuadratic) else policy()


def option_one(world):
    return cut(world).policy_gradient(acting(world), discount_states=False)


def with_weights(kind, **how):
    def target(mdp):
        weights = expected_advantages(mdp, mdp.probabilities(policy()), wrong_values(), kind=kind, **how)
        return gradient_with(mdp, policy(), weights)

    return target


def differenced(step, central):
    def target(world):
        vector, unravel = ravel_pytree(acting(world))

        def at(offset):
            moved = unravel(vector + offset)
            problem = cut(world)
            return float(
                problem.performance(moved if isinstance(world, LinearQuadratic) else problem.probabilities(moved))
            )

        size = len(vector)
        forward = np.array([at(step * jnp.eye(size)[index]) for index in range(size)])
        if central:
            return (forward - [at(-step * jnp.eye(size)[index]) for index in range(size)]) / (2 * step)
        return (forward - at(jnp.zeros(size))) / step

    return target


def regressed(regression):
    """The mean over draws of the perturbations, at each of which J is known."""

    def target(mdp):
        vector, unravel = ravel_pytree(policy())
        problem = cut(mdp)

        def one(key):
            offsets = regression.offsets(key, vector.shape[0])
            probs = jax.vmap(lambda offset: jax.nn.softmax(unravel(vector + offset).logits))(offsets)
            return regression.gradient(offsets, jax.vmap(problem.performance)(probs))

        return jax.jit(lambda keys: jnp.mean(jax.lax.map(one, keys), axis=0))(
            jax.random.split(jax.random.key(5), 20_000)
        )

    return target


def tabular(table):
    return TabularValue(jnp.asarray(table, jnp.float32))


def any_q(obs, action):
    return jnp.asarray(ANY_Q, jnp.float32)[obs, action]


def fit_table(trajectory, time, target):
    return TabularValue.fit(trajectory.obs, time, target, trajectory.valid.astype(jnp.float32), STATES, LENGTH)


def fit_linear(trajectory, time, target):
    weight = trajectory.valid.astype(jnp.float32)
    return LinearValue.fit(Box(-9.0, 9.0, (1,)), trajectory.obs, time, target, weight, LENGTH)


def linear_value(obs, time):
    """The true value by time, 0 at the end."""
    by_time = LINEAR.values(GAUSSIAN, obs[..., 0])
    return sum(jnp.where(time == index, by_time[index], 0) for index in range(LENGTH))


def fresh(behaviour):
    return FreshAction(behaviour, any_q, DISCOUNT)


TO_GO = MonteCarlo(DISCOUNT)
REGRESSION = Regression(perturbations=24, deviation=0.3)
TABULAR = ("endless",)
ROWS = {
    "G1 central": Row(Perturbed(FiniteDifference(0.4), DISCOUNT), differenced(0.4, True), episodes=1000, repeats=120),
    "G1 forward": Row(
        Perturbed(FiniteDifference(0.4, central=False), DISCOUNT), differenced(0.4, False), episodes=1000, repeats=120
    ),
    "G1 independent luck": Row(
        Perturbed(FiniteDifference(0.8), DISCOUNT, common_random_numbers=False),
        differenced(0.8, True),
        TABULAR,
        episodes=1000,
        repeats=200,
    ),
    "G2": Row(Perturbed(REGRESSION, DISCOUNT), regressed(REGRESSION), TABULAR, episodes=800, repeats=80),
    "G3": Row(LikelihoodRatio(DISCOUNT, WholeReturn(DISCOUNT)), of_returns, repeats=250),
    "G4": Row(LikelihoodRatio(DISCOUNT, TO_GO), of_returns, repeats=150),
    "G5 option 1": Row(LikelihoodRatio(DISCOUNT, TO_GO, discount_states=False), option_one, repeats=150),
    "G6 average": Row(
        LikelihoodRatio(DISCOUNT, WholeReturn(DISCOUNT), baseline=AverageReturn()), of_returns, repeats=150
    ),
    "G6 average to go": Row(LikelihoodRatio(DISCOUNT, TO_GO, baseline=AverageReturnToGo()), of_returns),
    "G6 per time step": Row(LikelihoodRatio(DISCOUNT, TO_GO, baseline=AveragePerTimeStep()), of_returns),
    "G6 optimal": Row(VarianceOptimal(DISCOUNT), of_returns, repeats=150),
    "G6 optimal scalar": Row(VarianceOptimal(DISCOUNT, per_parameter=False), of_returns, repeats=150),
    "G7 table": Row(FittedCritic(fit_table, LikelihoodRatio(DISCOUNT, TO_GO)), of_returns, TABULAR, repeats=100),
    "G7 linear": Row(FittedCritic(fit_linear, LikelihoodRatio(DISCOUNT, TO_GO)), of_returns, ("linear",), repeats=100),
    "G8": Row(
        LikelihoodRatio(DISCOUNT, NStep(DISCOUNT, 1), critic=tabular(wrong_values())),
        with_weights("n_step", n=1),
        TABULAR,
    ),
    "G8 true values": Row(LikelihoodRatio(DISCOUNT, NStep(DISCOUNT, 1), critic=linear_value), of_returns, ("linear",)),
    "G9": Row(LikelihoodRatio(DISCOUNT, TO_GO, critic=linear_value), of_returns, ("linear",)),
    "G10": Row(
        LikelihoodRatio(DISCOUNT, NStep(DISCOUNT, 2), critic=tabular(wrong_values())),
        with_weights("n_step", n=2),
        TABULAR,
    ),
    "G11": Row(
        LikelihoodRatio(DISCOUNT, GAE(DISCOUNT, 0.7), critic=tabular(wrong_values())),
        with_weights("gae", gae_lambda=0.7),
        TABULAR,
    ),
    "G11 true values": Row(LikelihoodRatio(DISCOUNT, GAE(DISCOUNT, 0.7), critic=linear_value), of_returns, ("linear",)),
    "G12 whole": Row(
        ImportanceSampled(BEHAVIOUR, ImportanceWeighted(DISCOUNT, "whole")), of_returns, TABULAR, repeats=375
    ),
    "G12 causal": Row(
        ImportanceSampled(BEHAVIOUR, ImportanceWeighted(DISCOUNT, "causal")), of_returns, TABULAR, repeats=375
    ),
    "G12 causal, Gaussian": Row(
        ImportanceSampled(OTHER_GAUSSIAN, ImportanceWeighted(DISCOUNT, "causal")), of_returns, ("linear",), repeats=375
    ),
    "G12 first order": Row(
        ImportanceSampled(BEHAVIOUR, ImportanceWeighted(DISCOUNT, "first_order")),
        lambda mdp: gradient_with(
            mdp, policy(), cut(mdp).action_values(mdp.probabilities(BEHAVIOUR)), behaviour=BEHAVIOUR
        ),
        TABULAR,
        repeats=150,
    ),
    "G13": Row(
        OffPolicy(BEHAVIOUR, any_q, DISCOUNT),
        lambda mdp: gradient_with(mdp, policy(), ANY_Q, behaviour=BEHAVIOUR),
        TABULAR,
    ),
    "G14": Row(
        FreshAction(BEHAVIOUR, any_q, DISCOUNT),
        lambda mdp: gradient_with(mdp, policy(), ANY_Q, behaviour=BEHAVIOUR),
        TABULAR,
    ),
}
WORLDS = {"finite": finite, "endless": endless, "linear": lambda: LINEAR}


@pytest.mark.parametrize(("name", "world"), [(name, world) for name, row in ROWS.items() for world in row.worlds])
def test_the_mean_is_the_target(name, world):
    row, problem = ROWS[name], WORLDS[world]()
    found = steepest.estimate_gradient(
        acting(problem),
        problem,
        row.estimator,
        jax.random.key(11),
        episodes=row.episodes,
        repeats=row.repeats,
        max_episode_steps=LENGTH,
    )
    target = row.target(problem)
    target = np.asarray(target if isinstance(target, np.ndarray | jax.Array) else ravel_pytree(target)[0]).ravel()
    mean, error = found.matrix.mean(0, dtype=np.float64), np.asarray(ravel_pytree(found.standard_error)[0], np.float64)
    assert (error > 0).sum() >= 2
    moved = error > 0  # a state without decisions has the gradient 0, exactly
    np.testing.assert_array_equal(mean[~moved], target[~moved])
    deviations = (mean - target)[moved] / error[moved]
    assert np.abs(deviations).max() < 4, deviations
    power = np.abs(0.05 * target[moved] / error[moved]).max()
    assert power > 6, f"an error of 5 % would be {power:.1f} standard errors"


@pytest.mark.parametrize("behaviour", [None, OTHER_GAUSSIAN], ids=["on-policy", "off-policy"])
def test_the_deterministic_gradient_is_the_exact_one(behaviour):
    """G15 on the linear-quadratic problem, with the exact Q: on-policy it is ∇J, else with the other's states."""
    problem = LinearQuadratic(DISCOUNT, initial_std=0.7, initial_mean=0.5)
    still = LinearGaussian(jnp.asarray(-0.2), jnp.asarray(-20.0))

    def action_value(obs, action):
        return problem.action_values(still, obs[..., 0], action[..., 0])

    found = steepest.estimate_gradient(
        still,
        problem,
        DeterministicGradient(action_value, DISCOUNT, behaviour=behaviour),
        jax.random.key(2),
        episodes=500,
        repeats=400,
        max_episode_steps=LENGTH,
    )
    # ∂Q/∂a at a = ks is −2s(k + γp(1 + k)), linear in s, and so is ∂μ/∂k.
    curvature = (1 + 0.2**2) / (1 - DISCOUNT * 0.8**2)
    second = problem.state_moments(still if behaviour is None else behaviour, LENGTH)[1]
    exact = -2 * (-0.2 + DISCOUNT * curvature * 0.8) * (DISCOUNT ** np.arange(LENGTH) * second).sum()
    if behaviour is None:
        np.testing.assert_allclose(exact, problem.policy_gradient(still, steps=LENGTH).gain, rtol=1e-6)
    assert abs(float(found.mean.gain) - exact) < 4 * float(found.standard_error.gain)
    assert 0.05 * abs(exact) > 6 * float(found.standard_error.gain)
    assert float(found.mean.log_std) == 0


def test_tables_of_probabilities_are_policies_too():
    """The shape of what comes back is that of the policy."""
    found = steepest.estimate_gradient(
        TabularPolicy(jnp.zeros((STATES, ACTIONS))),
        finite(),
        LikelihoodRatio(DISCOUNT, TO_GO),
        jax.random.key(0),
        episodes=7,
        repeats=3,
    )
    assert found.gradients.logits.shape == (3, STATES, ACTIONS)
    assert found.info["steps"].tolist() == [7 * LENGTH] * 3
