"""Masked problems (G20): exact gradients against sums over all episodes, and every estimator against them.

A forgotten mask would stand out: it is checked that the gradient without it is another one.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import steepest
from conformance.worlds import (
    DISCOUNT,
    LENGTH,
    STATES,
    expectation,
    expectation_of_pairs,
    expectation_of_splits,
    gradient_with,
    masked,
    policy,
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
from steepest.core.errors import InputError
from steepest.core.spaces import Masked, MaskedObservation
from steepest.critics import TabularValue
from steepest.diagnostics.exact import TimeDependentActionValue, with_horizon
from steepest.estimators import (
    FittedCritic,
    FreshAction,
    ImportanceSampled,
    LikelihoodRatio,
    OffPolicy,
    Perturbed,
    VarianceOptimal,
)
from steepest.objectives import Clipped, Entropy, Ratio
from steepest.oracles import TabularMDP, TabularPOMDP, double, gymnasium_mdp
from steepest.perturbation import FiniteDifference
from steepest.policies import TabularPolicy

MDP = masked()
CUT = with_horizon(MDP, LENGTH)
POLICY, BEHAVIOUR = policy(actions=3), policy(9, actions=3)
CONSTANT = LikelihoodRatio(DISCOUNT, MonteCarlo(DISCOUNT))


def free(mdp):
    return TabularMDP(mdp.transition, mdp.reward, mdp.initial, mdp.discount, mdp.horizon)


def by_time(mdp=CUT):
    return TabularValue(jnp.asarray(mdp.values(mdp.probabilities(POLICY)), jnp.float32))


def performance(logits):
    """J as the sum over all episodes, with a softmax over what is allowed, written out."""
    weight = jnp.where(MDP.mask, jnp.exp(logits), 0)
    probs = weight / weight.sum(axis=1, keepdims=True)
    state, *path = np.indices([STATES] + [3, STATES] * LENGTH).reshape(1 + 2 * LENGTH, -1)
    chance, returns = jnp.asarray(MDP.initial[state]), 0.0
    for time, (action, following) in enumerate(zip(path[::2], path[1::2], strict=True)):
        chance = chance * probs[state, action] * MDP.transition[state, action, following]
        returns, state = returns + DISCOUNT**time * MDP.reward[state, action], following
    return jnp.sum(chance * returns)


def test_the_exact_gradient_is_that_of_a_softmax_over_what_is_allowed():
    with jax.enable_x64(True):
        logits = np.asarray(POLICY.logits, np.float64)
        value, gradient = jax.value_and_grad(performance)(jnp.asarray(logits))
        value, gradient = float(value), np.asarray(gradient)
    exact = CUT.policy_gradient(POLICY).logits
    np.testing.assert_allclose(CUT.performance(CUT.probabilities(POLICY)), value, rtol=1e-9)
    np.testing.assert_allclose(exact, gradient, rtol=1e-7, atol=1e-10)
    assert (exact[~MDP.mask] == 0).all()
    assert (exact[1] == 0).all()  # where one action alone is allowed there is nothing to learn
    assert np.abs(exact - free(CUT).policy_gradient(POLICY).logits).max() > 0.05 * np.abs(exact).max()


def action_value(table):
    return TimeDependentActionValue(jnp.asarray(np.broadcast_to(table, (LENGTH, STATES, 3)), jnp.float32))


ESTIMATORS = {
    "G3": LikelihoodRatio(DISCOUNT, WholeReturn(DISCOUNT)),
    "G4": CONSTANT,
    "G8": LikelihoodRatio(DISCOUNT, NStep(DISCOUNT, 1), critic=by_time()),
    "G9": LikelihoodRatio(DISCOUNT, MonteCarlo(DISCOUNT), critic=by_time()),
    "G10": LikelihoodRatio(DISCOUNT, NStep(DISCOUNT, 2), critic=by_time()),
    "G11": LikelihoodRatio(DISCOUNT, GAE(DISCOUNT, 0.7), critic=by_time()),
    "G6 optimal": VarianceOptimal(DISCOUNT),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_on_own_episodes(name):
    found = expectation(ESTIMATORS[name], POLICY, MDP)
    np.testing.assert_allclose(found, CUT.policy_gradient(POLICY).logits, rtol=2e-4, atol=2e-6)
    assert (found[~MDP.mask] == 0).all()


@pytest.mark.parametrize("kind", ["whole", "causal", "first_order"])
def test_estimators_on_the_episodes_of_another_policy(kind):
    estimator = ImportanceSampled(BEHAVIOUR, ImportanceWeighted(DISCOUNT, kind))
    wanted = CUT.policy_gradient(POLICY).logits
    if kind == "first_order":
        wanted = gradient_with(MDP, POLICY, CUT.action_values(CUT.probabilities(BEHAVIOUR)), behaviour=BEHAVIOUR)
    np.testing.assert_allclose(expectation(estimator, POLICY, MDP, BEHAVIOUR), wanted, rtol=2e-4, atol=2e-6)


def test_the_off_policy_gradient():
    table = np.random.default_rng(2).normal(size=(LENGTH, STATES, 3))
    found = expectation(OffPolicy(BEHAVIOUR, action_value(table), DISCOUNT), POLICY, MDP, BEHAVIOUR)
    wanted = gradient_with(MDP, POLICY, table, behaviour=BEHAVIOUR)
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("baseline", [AverageReturn, AverageReturnToGo, AveragePerTimeStep])
def test_baselines_of_other_episodes(baseline):
    estimator = LikelihoodRatio(DISCOUNT, MonteCarlo(DISCOUNT), baseline=baseline())
    found = expectation_of_pairs(estimator, POLICY, MDP)
    np.testing.assert_allclose(found, CUT.policy_gradient(POLICY).logits, rtol=2e-4, atol=2e-6)


def test_a_critic_fitted_on_other_episodes():
    def fit(trajectory, time, target):
        return TabularValue.fit(trajectory.obs, time, target, trajectory.valid.astype(jnp.float32), STATES, LENGTH)

    found = expectation_of_splits(FittedCritic(fit, CONSTANT), POLICY, MDP)
    np.testing.assert_allclose(found, CUT.policy_gradient(POLICY).logits, rtol=2e-4, atol=2e-6)


SAMPLED = {
    "reward to go": (CONSTANT, 2000, 50, 0.1),
    "fresh actions": (
        FreshAction(POLICY, action_value(CUT.action_values(CUT.probabilities(POLICY))), DISCOUNT),
        2000,
        50,
        0.1,
    ),
    "perturbed": (Perturbed(FiniteDifference(0.2), DISCOUNT), 500, 100, 0.5),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_estimators_on_episodes_that_are_sampled(name):
    """Through the function that users call: environment, mask and all."""
    estimator, episodes, repeats, share = SAMPLED[name]
    found = steepest.estimate_gradient(POLICY, CUT, estimator, jax.random.key(1), episodes=episodes, repeats=repeats)
    exact, error = CUT.policy_gradient(POLICY).logits, np.asarray(found.standard_error.logits)
    assert (share * np.abs(exact) > 6 * error)[MDP.mask & (exact != 0)].any()
    assert (np.abs(free(CUT).policy_gradient(POLICY).logits - exact) > 5 * error)[MDP.mask].any()
    np.testing.assert_array_less(np.abs(np.asarray(found.mean.logits) - exact), 4 * error + 1e-5)
    if name != "perturbed":
        assert (np.asarray(found.gradients.logits)[:, ~MDP.mask] == 0).all()


def test_they_are_compared_as_those_without_masks_are():
    """Through `steepest.compare_gradients`, as `steepest gradients` does it."""
    names = ["exact_baseline", "gae", "learned_baseline", "importance_causal"]
    found = steepest.compare_gradients(
        POLICY, CUT, names, jax.random.key(2), behaviour=BEHAVIOUR, episodes=100, repeats=20
    )
    assert [row.name for row in found.rows] == names
    assert [row.name for row in found.rows if row.verdict == "biased"] == []


def test_kl_entropy_and_fisher_of_a_problem_are_those_of_what_is_allowed():
    other = policy(4, actions=3)
    problem = CUT.problem(POLICY)
    weight, _ = CUT.decisions(CUT.probabilities(POLICY))
    share = weight / weight.sum()
    p, q = CUT.probabilities(POLICY), CUT.probabilities(other)
    kl = sum(share[s] * p[s, a] * np.log(p[s, a] / q[s, a]) for s in range(STATES) for a in range(3) if MDP.mask[s, a])
    np.testing.assert_allclose(problem.kl(other), kl, rtol=1e-4)
    logs = np.where(MDP.mask, np.log(np.where(MDP.mask, p, 1)), 0)
    entropy = Entropy()(POLICY, problem.batch)[0]
    np.testing.assert_allclose(entropy, -np.sum(share[:, None] * p * logs), rtol=1e-5)
    scores = np.zeros((STATES, 3, STATES, 3))
    for s, a in np.argwhere(MDP.mask):
        scores[s, a, s] = np.where(MDP.mask[s], np.eye(3)[a] - p[s], 0)
    fisher = np.einsum("s,sa,saij,sakl->ijkl", share, p, scores, scores)
    np.testing.assert_allclose(CUT.fisher(POLICY), fisher.reshape(9, 9), atol=1e-7)
    tangent = policy(5, actions=3)
    product = problem.fisher(POLICY).mv(tangent).logits
    np.testing.assert_allclose(product, np.einsum("ijkl,kl->ij", fisher, tangent.logits), atol=1e-6)
    for objective in (Ratio(), Clipped(0.2)):
        gradient = CUT.problem(POLICY, objective).gradient(POLICY)[0].logits
        np.testing.assert_allclose(gradient, CUT.policy_gradient(POLICY).logits / weight.sum(), atol=1e-6)


def test_the_best_policy_takes_allowed_actions():
    for mdp in (MDP, CUT):
        _, actions = mdp.optimal()
        assert MDP.mask[np.arange(STATES), np.atleast_2d(actions)].all()
        probs = double(np.eye(3))[np.atleast_2d(actions)[0]]
        if mdp is MDP:
            assert mdp.performance(probs) >= mdp.performance(mdp.probabilities(POLICY))


def test_masks_that_cannot_be_are_refused():
    tables = MDP.transition, MDP.reward, MDP.initial, MDP.discount
    with pytest.raises(InputError, match=r"^mask\[1\] allows no action\. Allow one, or make the state absorbing\.$"):
        TabularMDP(*tables, mask=np.array([[True] * 3, [False] * 3, [False] * 3]))
    with pytest.raises(InputError, match=r"^mask is int64\[2\]; it must be True or False for each of \[3, 3\]\.$"):
        TabularMDP(*tables, mask=np.array([1, 2]))
    with pytest.raises(InputError, match=r"^probs\[0, 1\] is 0\.333333; it must be 0, as the mask rules it out"):
        MDP.values(np.full((3, 3), 1 / 3))
    with pytest.raises(InputError, match=r"^mdp has a mask, which would tell of the state"):
        TabularPOMDP(CUT, np.ones((3, 1)))


def test_taxi_has_its_masks():
    taxi = gymnasium_mdp("Taxi-v3", discount=0.99, action_masks=True)
    assert gymnasium_mdp("Taxi-v3", discount=0.99).mask is None
    assert 0.3 < taxi.mask.mean() < 0.9
    np.testing.assert_allclose(taxi.probabilities(TabularPolicy(jnp.zeros((500, 6)))).sum(axis=1), 1, rtol=1e-6)
    from steepest.diagnostics.setting import setting

    place = setting("Taxi-v3", discount=0.99)
    assert isinstance(place.observation, Masked)
    assert place.oracle.mask is not None
    assert setting("Taxi-v3", discount=0.99, action_masks=False).oracle.mask is None


def test_policies_are_called_with_the_mask():
    seen = MaskedObservation(jnp.arange(STATES), jnp.asarray(MDP.mask))
    np.testing.assert_allclose(jax.nn.softmax(POLICY(seen).logits), CUT.probabilities(POLICY), atol=1e-6)
    assert dataclasses.is_dataclass(MDP)
