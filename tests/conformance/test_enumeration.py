"""Every estimator against its exact target, with the mean taken over every episode that can happen."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from conformance.worlds import (
    ACTIONS,
    DISCOUNT,
    LENGTH,
    STATES,
    endless,
    episodes_of,
    expectation,
    expectation_of_pairs,
    expectation_of_splits,
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
from steepest.critics import TabularValue
from steepest.estimators import FittedCritic, ImportanceSampled, LikelihoodRatio, OffPolicy, VarianceOptimal
from steepest.oracles import TabularMDP

WORLDS = {"finite": finite, "endless": endless}
EXACT = {"rtol": 2e-4, "atol": 2e-6}


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, **EXACT)


def cut(mdp: TabularMDP) -> TabularMDP:
    """The problem whose performance is the mean return of the episodes as they are sampled."""
    return TabularMDP(mdp.transition, mdp.reward, mdp.initial, mdp.discount, horizon=LENGTH)


def tabular(table) -> TabularValue:
    return TabularValue(jnp.asarray(table, jnp.float32))


@pytest.fixture(params=WORLDS)
def mdp(request):
    return WORLDS[request.param]()


@pytest.mark.parametrize("advantage", [WholeReturn(DISCOUNT), MonteCarlo(DISCOUNT)], ids=["G3", "G4"])
def test_the_likelihood_ratio_is_unbiased(mdp, advantage):
    exact = cut(mdp).policy_gradient(policy()).logits
    close(expectation(LikelihoodRatio(DISCOUNT, advantage), policy(), mdp), exact)


def test_without_the_factor_of_the_state_it_is_the_other_gradient(mdp):
    """G5: option 1 has its own exact value, and it is not ∇J."""
    estimator = LikelihoodRatio(DISCOUNT, MonteCarlo(DISCOUNT), discount_states=False)
    found = expectation(estimator, policy(), mdp)
    close(found, cut(mdp).policy_gradient(policy(), discount_states=False).logits)
    assert not np.allclose(found, cut(mdp).policy_gradient(policy()).logits, rtol=1e-2)


@pytest.mark.parametrize("baseline", [AverageReturn, AverageReturnToGo, AveragePerTimeStep])
@pytest.mark.parametrize("advantage", [WholeReturn(DISCOUNT), MonteCarlo(DISCOUNT)], ids=["G3", "G4"])
def test_a_baseline_of_the_other_episodes_adds_no_bias(mdp, advantage, baseline):
    """G6, with two episodes, where a baseline that saw the own episode is as biased as can be."""
    exact = cut(mdp).policy_gradient(policy()).logits
    left_out = LikelihoodRatio(DISCOUNT, advantage, baseline=baseline())
    close(expectation_of_pairs(left_out, policy(), mdp), exact)
    plain = LikelihoodRatio(DISCOUNT, advantage, baseline=baseline(leave_one_out=False))
    biased = expectation_of_pairs(plain, policy(), mdp)
    assert np.abs(biased - exact).max() > 0.02 * np.abs(exact).max()


def test_the_average_of_the_same_two_episodes_halves_the_gradient(mdp):
    """G6: b = (R₁ + R₂)/2 leaves (R₁ − R₂)/2 for the first, whose mean is half of ∇J. A bias of known size."""
    plain = LikelihoodRatio(DISCOUNT, WholeReturn(DISCOUNT), baseline=AverageReturn(leave_one_out=False))
    close(expectation_of_pairs(plain, policy(), mdp), cut(mdp).policy_gradient(policy()).logits / 2)


@pytest.mark.parametrize("per_parameter", [True, False])
def test_the_variance_optimal_baseline_of_the_other_episodes_adds_no_bias(mdp, per_parameter):
    exact = cut(mdp).policy_gradient(policy()).logits
    close(expectation_of_pairs(VarianceOptimal(DISCOUNT, per_parameter), policy(), mdp), exact)
    biased = expectation_of_pairs(VarianceOptimal(DISCOUNT, per_parameter, leave_one_out=False), policy(), mdp)
    assert np.abs(biased - exact).max() > 0.02 * np.abs(exact).max()


@pytest.mark.parametrize("per_parameter", [True, False])
def test_with_one_episode_there_are_no_others(mdp, per_parameter):
    exact = cut(mdp).policy_gradient(policy()).logits
    close(expectation(VarianceOptimal(DISCOUNT, per_parameter), policy(), mdp), exact)


def test_a_critic_fitted_on_other_episodes_adds_no_bias(mdp):
    """G7: however badly it fits, and it fits a single episode here."""

    def fit(trajectory, time, target):
        return TabularValue.fit(trajectory.obs, time, target, trajectory.valid.astype(jnp.float32), STATES, LENGTH)

    estimator = FittedCritic(fit, LikelihoodRatio(DISCOUNT, MonteCarlo(DISCOUNT)))
    cut_off = cut(mdp).policy_gradient(policy()).logits
    close(expectation_of_splits(estimator, policy(), mdp), cut_off)


def test_any_critic_is_a_good_baseline(mdp):
    """G9: unbiased for the return as it was seen, whatever V says of s; what it says at the time limit counts."""
    table = np.concatenate([np.random.default_rng(3).normal(size=(LENGTH, STATES)), np.zeros((1, STATES))])
    estimator = LikelihoodRatio(DISCOUNT, MonteCarlo(DISCOUNT), critic=tabular(table))
    close(expectation(estimator, policy(), mdp), cut(mdp).policy_gradient(policy()).logits)


def test_with_the_true_value_at_the_time_limit_nothing_is_lost():
    """Truncation: the successor keeps its value, so the gradient is that of the whole problem for the steps taken."""
    mdp = endless()
    values = mdp.values(mdp.probabilities(policy()))
    exact = mdp.policy_gradient(policy(), steps=LENGTH).logits
    for advantage in (MonteCarlo(DISCOUNT), NStep(DISCOUNT, 1), NStep(DISCOUNT, 2), GAE(DISCOUNT, 0.7)):
        close(expectation(LikelihoodRatio(DISCOUNT, advantage, critic=tabular(values)), policy(), mdp), exact)
    assert not np.allclose(exact, cut(mdp).policy_gradient(policy()).logits, rtol=1e-2)


def test_with_the_true_values_by_time_bootstrapping_is_unbiased():
    """C7: on a finite horizon the value depends on the time, and with it every n and λ gives ∇J."""
    mdp = finite()
    by_time = tabular(mdp.values(mdp.probabilities(policy())))
    exact = mdp.policy_gradient(policy()).logits
    for advantage in (MonteCarlo(DISCOUNT), NStep(DISCOUNT, 1), NStep(DISCOUNT, 2), GAE(DISCOUNT, 0.7)):
        close(expectation(LikelihoodRatio(DISCOUNT, advantage, critic=by_time), policy(), mdp), exact)
    stationary = tabular(mdp.values(mdp.probabilities(policy()))[0])
    assert not np.allclose(
        expectation(LikelihoodRatio(DISCOUNT, NStep(DISCOUNT, 1), critic=stationary), policy(), mdp), exact, rtol=1e-2
    )


@pytest.mark.parametrize("discount_states", [True, False])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_n_step_with_a_wrong_critic_has_its_own_bias(mdp, n, discount_states):
    """G8 and G10."""
    weights = expected_advantages(mdp, mdp.probabilities(policy()), wrong_values(), kind="n_step", n=n)
    estimator = LikelihoodRatio(
        DISCOUNT, NStep(DISCOUNT, n), critic=tabular(wrong_values()), discount_states=discount_states
    )
    found = expectation(estimator, policy(), mdp)
    close(found, gradient_with(mdp, policy(), weights, discount_states=discount_states))
    assert n == LENGTH or not np.allclose(found, cut(mdp).policy_gradient(policy()).logits, rtol=1e-3)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.6, 0.95, 1.0])
def test_gae_with_a_wrong_critic_has_its_own_bias(mdp, gae_lambda):
    """G11."""
    weights = expected_advantages(mdp, mdp.probabilities(policy()), wrong_values(), kind="gae", gae_lambda=gae_lambda)
    estimator = LikelihoodRatio(DISCOUNT, GAE(DISCOUNT, gae_lambda), critic=tabular(wrong_values()))
    close(expectation(estimator, policy(), mdp), gradient_with(mdp, policy(), weights))


@pytest.mark.parametrize("kind", ["whole", "causal"])
def test_whole_and_causal_weights_are_unbiased(mdp, kind):
    """G12: from episodes of another policy, the gradient of this one."""
    behaviour = policy(9)
    estimator = ImportanceSampled(behaviour, ImportanceWeighted(DISCOUNT, kind))
    close(expectation(estimator, policy(), mdp, behaviour), cut(mdp).policy_gradient(policy()).logits)


def test_first_order_weights_keep_the_states_and_the_futures_of_the_other_policy(mdp):
    """G12: biased, with a target that is known: Σ γ^t p_t^β ∇π Q_t^β."""
    behaviour = policy(9)
    estimator = ImportanceSampled(behaviour, ImportanceWeighted(DISCOUNT, "first_order"))
    action_values = cut(mdp).action_values(mdp.probabilities(behaviour))
    found = expectation(estimator, policy(), mdp, behaviour)
    close(found, gradient_with(mdp, policy(), action_values, behaviour=behaviour))
    assert not np.allclose(found, cut(mdp).policy_gradient(policy()).logits, rtol=1e-2)


def test_on_the_own_episodes_all_weights_are_one(mdp):
    plain = expectation(LikelihoodRatio(DISCOUNT, MonteCarlo(DISCOUNT)), policy(), mdp)
    for kind in ("whole", "causal", "first_order"):
        close(expectation(ImportanceSampled(policy(), ImportanceWeighted(DISCOUNT, kind)), policy(), mdp), plain)


@pytest.mark.parametrize("kind", ["whole", "causal", "first_order"])
def test_a_limit_bounds_every_weight(kind):
    behaviour = policy(9)
    trajectory, _ = episodes_of(finite(), behaviour)
    log_ratio = jax.jit(lambda each: each(trajectory.obs).log_prob(trajectory.action))(policy()) - trajectory.log_prob
    one = eqx.tree_at(lambda each: each.reward, trajectory, jnp.ones_like(trajectory.reward))
    bounded, _ = jax.jit(ImportanceWeighted(0.0, kind, limit=1.5))(one, log_ratio)
    free, _ = jax.jit(ImportanceWeighted(0.0, kind))(one, log_ratio)
    np.testing.assert_allclose(bounded, np.minimum(free, 1.5), rtol=1e-5)
    assert float(free.max()) > 1.5


def test_the_off_policy_gradient_keeps_the_states_of_the_behaviour(mdp):
    """G13, by enumeration, with a Q that need not be the true one."""
    behaviour = policy(9)
    table = np.random.default_rng(2).normal(size=(STATES, ACTIONS))

    def action_value(obs, action):
        return jnp.asarray(table, jnp.float32)[obs, action]

    found = expectation(OffPolicy(behaviour, action_value, DISCOUNT), policy(), mdp, behaviour)
    close(found, gradient_with(mdp, policy(), table, behaviour=behaviour))
    assert not np.allclose(found, gradient_with(mdp, policy(), table), rtol=1e-2)


def test_the_effective_sample_size_is_reported():
    behaviour = policy(9)
    trajectory, _ = episodes_of(finite(), behaviour)
    for kind in ("whole", "causal", "first_order"):
        estimator = ImportanceSampled(behaviour, ImportanceWeighted(DISCOUNT, kind))
        _, info = eqx.filter_jit(estimator.gradient)(policy(), trajectory)
        log_ratio = policy()(trajectory.obs).log_prob(trajectory.action) - trajectory.log_prob
        log_ratio = np.where(trajectory.valid, log_ratio, 0)
        weight = {"whole": np.exp(log_ratio.sum(0)), "causal": np.exp(log_ratio.cumsum(0))}.get(kind, np.exp(log_ratio))
        if kind != "whole":
            weight = weight[np.asarray(trajectory.valid)]
        np.testing.assert_allclose(info["effective_sample_size"], weight.sum() ** 2 / (weight**2).sum(), rtol=1e-4)
        assert int(info["steps"]) == trajectory.valid.sum()


def test_the_effective_sample_size_survives_weights_beyond_floating_point():
    from steepest.advantages import effective_sample_size

    np.testing.assert_allclose(effective_sample_size(jnp.asarray([500.0, 500.0, -500.0])), 2, rtol=1e-5)


def test_streams_of_several_episodes_keep_them_apart():
    """Every part must start anew at an episode's end: two episodes in one stream are two streams."""
    trajectory, _ = episodes_of(endless(), policy(9))
    whole = np.flatnonzero(np.asarray(trajectory.valid).all(0))
    one, other = whole[3], whole[40]
    joined = jax.tree.map(lambda leaf: jnp.concatenate([leaf[:, one], leaf[:, other]])[:, None], trajectory)
    apart = jax.tree.map(lambda leaf: jnp.stack([leaf[:, one], leaf[:, other]], 1), trajectory)
    for estimator in (
        LikelihoodRatio(DISCOUNT, WholeReturn(DISCOUNT)),
        LikelihoodRatio(DISCOUNT, MonteCarlo(DISCOUNT)),
        LikelihoodRatio(DISCOUNT, GAE(DISCOUNT, 0.5), critic=tabular(wrong_values())),
        ImportanceSampled(policy(9), ImportanceWeighted(DISCOUNT, "causal")),
        ImportanceSampled(policy(9), ImportanceWeighted(DISCOUNT, "whole")),
    ):
        # One stream counts as one episode, so the sum over two is twice the mean.
        gradient = eqx.filter_jit(estimator.gradient)
        both = gradient(policy(), apart)[0].logits * 2
        close(gradient(policy(), joined)[0].logits, both)
