"""Tabular problems against enumeration, differences and iteration."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from every_trajectory import discounted, trajectories
from jax.flatten_util import ravel_pytree

from steepest.core.spaces import Discrete, Spec
from steepest.oracles import TabularMDP, bandit, double, random_mdp
from steepest.policies import TabularPolicy, TwoActionPolicy, network_policy

BOTH = pytest.mark.parametrize("horizon", [None, 4], ids=["endless", "horizon"])


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def tabular_policy(mdp, seed=0):
    return TabularPolicy(jax.random.normal(jax.random.key(seed), mdp.reward.shape))


def random_probs(mdp, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(mdp.actions), mdp.states)


def tree_performance(policy, unravel, mdp):
    def performance(vector):
        with jax.enable_x64(True):
            return float(mdp.performance(mdp.probabilities(unravel(jnp.asarray(vector)))))

    return performance


def central_differences(function, vector, step=1e-5):
    slopes = np.zeros_like(vector)
    for index in range(len(vector)):
        moved = np.zeros_like(vector)
        moved[index] = step
        slopes[index] = (function(vector + moved) - function(vector - moved)) / (2 * step)
    return slopes


@pytest.fixture
def lake():
    """Two cells to choose in, and a third where everything ends."""
    transition = np.zeros((3, 2, 3))
    transition[0] = [[0.5, 0.4, 0.1], [0.2, 0.6, 0.2]]
    transition[1] = [[0.3, 0.3, 0.4], [0.7, 0.2, 0.1]]
    transition[2, :, 2] = 1
    return TabularMDP(transition, [[1.0, -0.5], [0.3, 2.0], [0.0, 0.0]], [0.6, 0.4, 0.0], discount=0.8)


def test_performance_and_values_are_the_means_over_all_trajectories():
    mdp = random_mdp(3, 2, 2, discount=0.7, horizon=4)
    probs = random_probs(mdp)
    every = list(trajectories(mdp, probs, 4))
    total = sum(p * discounted(r, 0.7) for p, _, _, r in every)
    np.testing.assert_allclose(sum(p for p, *_ in every), 1, rtol=1e-12)
    np.testing.assert_allclose(mdp.performance(probs), total, rtol=1e-12)
    values, action_values = np.zeros((4, 2)), np.zeros((4, 2, 2))
    for time, state in itertools.product(range(4), range(2)):
        here = [(p, a, r) for p, s, a, r in every if s[time] == state]
        mass = sum(p for p, *_ in here)
        values[time, state] = sum(p * discounted(r[time:], 0.7) for p, _, r in here) / mass
        for action in range(2):
            taken = [(p, r) for p, a, r in here if a[time] == action]
            taken_mass = sum(p for p, _ in taken)
            action_values[time, state, action] = sum(p * discounted(r[time:], 0.7) for p, r in taken) / taken_mass
    np.testing.assert_allclose(mdp.values(probs), values, rtol=1e-10)
    np.testing.assert_allclose(mdp.action_values(probs), action_values, rtol=1e-10)
    np.testing.assert_allclose(mdp.advantages(probs), action_values - values[..., None], rtol=1e-9, atol=1e-12)


def test_without_an_end_it_is_the_limit_of_long_horizons():
    endless, long = random_mdp(1, 5, 3, discount=0.8), random_mdp(1, 5, 3, discount=0.8, horizon=160)
    probs = random_probs(endless)
    np.testing.assert_allclose(endless.values(probs), long.values(probs)[0], rtol=1e-12)
    np.testing.assert_allclose(endless.action_values(probs), long.action_values(probs)[0], rtol=1e-12)
    np.testing.assert_allclose(endless.advantages(probs), long.advantages(probs)[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(endless.performance(probs), long.performance(probs), rtol=1e-12)


def test_states_are_distributed_as_one_step_after_the_other_distributes_them():
    mdp = random_mdp(2, 5, 3, branching=2, discount=0.8)
    probs = random_probs(mdp)
    now, total, rows = mdp.initial, np.zeros(5), []
    for time in range(200):
        rows.append(now)
        total = total + 0.8**time * now
        now = np.array(
            [sum(now[s] * probs[s, a] * mdp.transition[s, a, z] for s in range(5) for a in range(3)) for z in range(5)]
        )
    np.testing.assert_allclose(mdp.state_probabilities(probs, 7), rows[:7], rtol=1e-12)
    np.testing.assert_allclose(mdp.state_distribution(probs), total, rtol=1e-12)
    finite = random_mdp(2, 5, 3, branching=2, discount=0.8, horizon=6)
    np.testing.assert_allclose(finite.state_distribution(probs), rows[:6], rtol=1e-12)


@BOTH
@pytest.mark.parametrize("kind", ["tabular", "network"])
def test_the_policy_gradient_is_the_slope_of_the_performance(horizon, kind):
    mdp = random_mdp(4, 4, 3, discount=0.9, horizon=horizon)
    policy = tabular_policy(mdp)
    if kind == "network":
        spec = Spec(Discrete(4), Discrete(3), num_envs=1, total_updates=1)
        policy = network_policy(jax.random.key(0), spec, hidden=(3,), output_scale=1.0)
    with jax.enable_x64(True):
        vector, unravel = ravel_pytree(jax.tree.map(jnp.asarray, double(policy)))
    slopes = central_differences(tree_performance(policy, unravel, mdp), np.asarray(vector))
    gradient = mdp.policy_gradient(policy)
    assert jax.tree.structure(gradient) == jax.tree.structure(policy)
    flat = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(gradient)])
    assert flat.dtype == np.float64
    assert np.abs(flat - slopes).max() <= 1e-7 * np.abs(flat).max()


@pytest.mark.parametrize("discount_states", [True, False])
@pytest.mark.parametrize("steps", [None, 2])
def test_both_discountings_are_the_means_of_what_samples_estimate(discount_states, steps):
    """G5, by enumeration: Σ_t w_t ∇log π(a_t|s_t) R_t over the first `steps` decisions."""
    mdp = random_mdp(5, 2, 2, discount=0.6, horizon=4)
    policy = tabular_policy(mdp)
    probs = softmax(np.asarray(policy.logits, np.float64))
    expected = np.zeros((2, 2))
    for probability, states, actions, rewards in trajectories(mdp, probs, 4):
        for time in range(4 if steps is None else steps):
            score = np.zeros((2, 2))
            score[states[time]] = np.eye(2)[actions[time]] - probs[states[time]]
            weight = 0.6**time if discount_states else 1.0
            expected += probability * weight * score * discounted(rewards[time:], 0.6)
    found = mdp.policy_gradient(policy, discount_states=discount_states, steps=steps).logits
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("discount_states", [True, False])
def test_episodes_that_end_count_as_the_limit_of_many_steps(lake, discount_states):
    policy = tabular_policy(lake)
    whole = lake.policy_gradient(policy, discount_states=discount_states).logits
    long = lake.policy_gradient(policy, discount_states=discount_states, steps=2000).logits
    np.testing.assert_allclose(whole, long, rtol=1e-10)
    assert np.all(whole[2] == 0)  # nothing is decided where everything is over


def test_what_need_not_end_is_refused_without_discounting(lake):
    with pytest.raises(ValueError, match="discount_states is False, but from state 0 this policy reaches no absorbing"):
        random_mdp(0, 3, 2).policy_gradient(TabularPolicy(jnp.zeros((3, 2))), discount_states=False)
    stays = eqx.tree_at(lambda mdp: mdp.transition, lake, lake.transition.copy())
    stays.transition[0, 0] = [1, 0, 0]
    for_ever = TabularPolicy(jnp.array([[0.0, -jnp.inf], [0.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="Give steps, a horizon, or discount_states=True"):
        stays.policy_gradient(for_ever, discount_states=False)
    assert np.isfinite(stays.policy_gradient(for_ever, discount_states=False, steps=5).logits).all()


@BOTH
def test_the_fisher_information_is_the_hessian_of_the_kl_of_the_exact_problem(horizon):
    mdp = random_mdp(6, 4, 3, discount=0.9, horizon=horizon)
    with jax.enable_x64(True):
        policy = jax.tree.map(jnp.asarray, double(tabular_policy(mdp)))
        vector, unravel = ravel_pytree(policy)
        problem = mdp.problem(policy)
        hessian = jax.jit(jax.hessian(lambda each: problem.kl(unravel(each))))(vector)
        product = jax.jit(lambda each: ravel_pytree(problem.fisher(policy).mv(unravel(each)))[0])
        products = [product(each) for each in np.eye(len(vector))]
    fisher = mdp.fisher(policy)
    np.testing.assert_allclose(fisher, hessian, atol=1e-12)
    np.testing.assert_allclose(fisher, np.stack(products), atol=1e-12)
    assert np.linalg.eigvalsh(fisher).min() > -1e-12


@BOTH
@pytest.mark.parametrize("discount_states", [True, False])
def test_the_problem_has_the_policy_gradient_and_the_first_order_model_of_j(horizon, discount_states):
    mdp, steps = random_mdp(7, 4, 3, discount=0.9, horizon=horizon), None if horizon else 5
    options = {"discount_states": discount_states, "steps": steps}
    with jax.enable_x64(True):
        policy, other = (jax.tree.map(jnp.asarray, double(tabular_policy(mdp, seed))) for seed in (0, 1))
        problem = mdp.problem(policy, **options)
        gradient, info = eqx.filter_jit(problem.gradient)(policy)
        surrogate = eqx.filter_jit(problem.evaluate)(other)[0]
    weight, coefficient = mdp.decisions(mdp.probabilities(policy), **options)
    exact = mdp.policy_gradient(policy, **options)
    np.testing.assert_allclose(np.asarray(gradient.logits) * weight.sum(), exact.logits, rtol=1e-10, atol=1e-13)
    change = mdp.probabilities(other) - mdp.probabilities(policy)
    np.testing.assert_allclose(surrogate, (coefficient * change).sum() / weight.sum(), rtol=1e-10)
    assert abs(float(info["objective"])) < 1e-15
    assert problem.size == 12
    np.testing.assert_allclose(np.sum(np.asarray(problem.batch.weight)), 1, rtol=1e-12)


def test_states_where_all_is_over_do_not_dilute_the_problem(lake):
    """Samples have no rows there, so the exact problem has none that count."""
    with jax.enable_x64(True):
        problem = lake.problem(jax.tree.map(jnp.asarray, double(tabular_policy(lake))))
    assert np.all(np.asarray(problem.batch.weight)[np.asarray(problem.batch.obs) == 2] == 0)


def test_actions_that_are_ruled_out_do_no_harm():
    mdp = random_mdp(8, 3, 3)
    policy = TabularPolicy(jnp.array([[0.0, 1.0, -jnp.inf]] * 3))
    problem = mdp.problem(policy)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(eqx.filter_jit(problem.gradient)(policy)[0]))
    assert np.isfinite(mdp.fisher(policy)).all()
    assert np.isfinite(mdp.policy_gradient(policy).logits).all()


def test_the_optimum_is_the_best_of_all_deterministic_policies():
    mdp = random_mdp(9, 3, 3, discount=0.85)
    every = [np.eye(3)[list(choice)] for choice in itertools.product(range(3), repeat=3)]
    best = np.max([mdp.values(probs) for probs in every], axis=0)
    values, actions = mdp.optimal()
    np.testing.assert_allclose(values, best, rtol=1e-12)
    np.testing.assert_allclose(mdp.values(np.eye(3)[actions]), best, rtol=1e-12)


def test_with_a_horizon_the_optimum_is_the_best_of_all_policies_in_time():
    mdp = random_mdp(10, 2, 2, discount=0.9, horizon=3)
    best = np.full(2, -np.inf)
    for choices in itertools.product(range(2), repeat=6):
        plan, later = np.array(choices).reshape(3, 2), np.zeros(2)
        for time in (2, 1, 0):
            chosen = plan[time]
            later = np.array([mdp.reward[s, chosen[s]] + 0.9 * mdp.transition[s, chosen[s]] @ later for s in range(2)])
        best = np.maximum(best, later)
    values, actions = mdp.optimal()
    np.testing.assert_allclose(values[0], best, rtol=1e-12)
    np.testing.assert_array_equal(actions[2], mdp.reward.argmax(axis=1))


def test_the_bandit_of_two_actions_is_that_of_the_lecture():
    """T6: J = 100π₁ + π₂, J' = 99e^θ/(1+e^θ)², F = e^θ/(1+e^θ)²."""
    problem, theta = bandit([100.0, 1.0]), -1.5
    policy, odds = TwoActionPolicy(theta), np.exp(-1.5)
    np.testing.assert_allclose(problem.performance(problem.probabilities(policy)), (100 * odds + 1) / (1 + odds))
    np.testing.assert_allclose(problem.policy_gradient(policy).logit, 99 * odds / (1 + odds) ** 2)
    np.testing.assert_allclose(problem.fisher(policy), [[odds / (1 + odds) ** 2]])


def test_random_problems_depend_on_their_seed_alone():
    same = [random_mdp(seed, 4, 2, branching=2) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(same[0].transition, same[1].transition)
    assert not np.array_equal(same[0].transition, same[2].transition)
    assert np.all((same[0].transition > 0).sum(axis=-1) == 2)
    keyed = [random_mdp(jax.random.key(seed), 4, 2).reward for seed in (3, 3, 4)]
    np.testing.assert_array_equal(keyed[0], keyed[1])
    assert not np.array_equal(keyed[0], keyed[2])
