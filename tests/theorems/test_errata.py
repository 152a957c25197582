"""Formulas that are wrong as printed in the sources, beside the right ones: only the right ones pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.core.distributions import Categorical, Gaussian
from steepest.oracles import double, random_mdp
from steepest.policies import TabularPolicy
from steepest.theorems.constrained import natural_step
from steepest.theorems.enumeration import every_trajectory, powers, probability, rewards, scores
from steepest.theorems.state_shift import leaving, total_variation


@pytest.fixture(autouse=True)
def _in_double_precision():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def problem():
    """A gradient and a Fisher information: of a softmax policy, in all logits but the last of each state."""
    mdp = random_mdp(0, 3, 3)
    policy = jax.tree.map(jnp.asarray, double(TabularPolicy(jnp.linspace(-1, 1, 9).reshape(3, 3))))
    free = np.array([0, 1, 3, 4, 6, 7])
    gradient = mdp.policy_gradient(policy).logits.ravel()[free]
    return mdp, policy, jnp.asarray(gradient), jnp.asarray(mdp.fisher(policy)[np.ix_(free, free)]), free


def moved_kl(mdp, policy, step, free):
    logits = policy.logits.ravel().at[free].add(step).reshape(3, 3)
    share = (1 - mdp.discount) * mdp.state_distribution(mdp.probabilities(policy))
    return float(np.dot(share, Categorical(policy.logits).kl(Categorical(logits))))


def test_the_step_has_the_inverse_of_f_under_the_root(problem):
    """Printed: α = √(2ε / gᵀFg). Right: α = √(2ε / gᵀF⁻¹g)."""
    mdp, policy, gradient, fisher, free = problem
    radius = 1e-6
    direction = jnp.linalg.solve(fisher, gradient)
    right = natural_step(gradient, fisher, radius)
    printed = jnp.sqrt(2 * radius / (gradient @ fisher @ gradient)) * direction
    np.testing.assert_allclose(0.5 * right @ fisher @ right, radius, rtol=1e-10)
    np.testing.assert_allclose(moved_kl(mdp, policy, right, free), radius, rtol=0.01)
    assert abs(moved_kl(mdp, policy, printed, free) / radius - 1) > 1


def test_a_radius_without_the_half_is_twice_the_one_with_it(problem):
    """002 limits ΔᵀFΔ ≤ δ, so its root holds δ and not 2δ: the same step as with ε = δ/2."""
    _, _, gradient, fisher, _ = problem
    without = jnp.sqrt(2e-3 / (gradient @ jnp.linalg.solve(fisher, gradient))) * jnp.linalg.solve(fisher, gradient)
    np.testing.assert_allclose(without @ fisher @ without, 2e-3, rtol=1e-10)
    np.testing.assert_allclose(natural_step(gradient, fisher, 1e-3), without, rtol=1e-10)


def test_the_kl_has_the_distribution_of_the_expectation_in_front():
    """Printed: KL(π'‖π) = E_π'[log π − log π'], which is negative."""
    new, old = Categorical(jnp.array([0.3, -1.0, 0.5])), Categorical(jnp.array([0.0, 1.0, -0.5]))
    log_new, log_old = jax.nn.log_softmax(new.logits), jax.nn.log_softmax(old.logits)
    printed = jnp.sum(jnp.exp(log_new) * (log_old - log_new))
    np.testing.assert_allclose(new.kl(old), -printed, rtol=1e-12)
    assert new.kl(old) > 0 > printed


def test_the_second_order_form_of_the_kl_has_a_half(problem):
    mdp, policy, gradient, fisher, free = problem
    step = 1e-3 * gradient / jnp.linalg.norm(gradient)
    measured = moved_kl(mdp, policy, step, free)
    np.testing.assert_allclose(measured, 0.5 * step @ fisher @ step, rtol=0.01)
    assert abs(measured / float(step @ fisher @ step) - 1) > 0.4  # as printed


def test_2_epsilon_t_is_for_the_l1_norm():
    """With ε the total variation, as the lemma needs it, the L1 distance exceeds εt and reaches 2εt."""
    problem, stay, leave = leaving(0.01)
    epsilon = total_variation(stay, leave)
    np.testing.assert_allclose(epsilon, 0.01)
    distance = np.abs(problem.state_probabilities(leave, 5) - problem.state_probabilities(stay, 5)).sum(axis=1)
    time = np.arange(5)
    assert np.all(distance <= 2 * epsilon * time + 1e-12)
    np.testing.assert_allclose(distance[1], 2 * epsilon, rtol=1e-9)
    assert np.all(distance[1:] > epsilon * time[1:])
    assert np.all(0.5 * distance <= epsilon * time + 1e-12)  # the total variation itself


@pytest.mark.parametrize("n", [1, 2])
def test_an_n_step_return_has_n_rewards(n):
    """Printed: Σ_{k≤n} γ^k r_{t+k} + γ^n V(s_{t+n}), which counts the reward at t + n twice."""
    mdp = random_mdp(1, 2, 2, discount=0.9, horizon=4)
    probs = np.array([[0.3, 0.7], [0.6, 0.4]])
    every = every_trajectory(2, 2, 4)
    chance, reward = (np.asarray(each) for each in (probability(mdp, probs, every), rewards(mdp, every)))
    values = mdp.values(probs)
    bootstrap = 0.9**n * values[n][every.states[:, n]]
    weight = 0.9 ** np.arange(4)
    right = (weight * reward)[:, :n].sum(axis=1) + bootstrap
    printed = (weight * reward)[:, : n + 1].sum(axis=1) + bootstrap
    np.testing.assert_allclose(chance @ right, mdp.performance(probs), rtol=1e-12)
    assert abs(chance @ printed - mdp.performance(probs)) > 0.01


def test_the_gaussian_score_has_no_half_and_points_at_the_action():
    """G18: Σ⁻¹(a − f), not −½Σ⁻¹(a − f) and not ½Σ⁻¹(a − f)."""
    mean, log_std, action = jnp.array([0.5, -1.0]), jnp.array([0.2, -0.3]), jnp.array([1.5, 0.0])
    score = jax.grad(lambda each: Gaussian(each, log_std).log_prob(action))(mean)
    right = (action - mean) / jnp.exp(2 * log_std)
    np.testing.assert_allclose(score, right, rtol=1e-12)
    assert jnp.all(score * (action - mean) > 0)
    assert not np.allclose(score, 0.5 * right)
    assert not np.allclose(score, -0.5 * right)


def test_minus_log_probability_is_the_kl_plus_a_constant_only_under_the_old_policy():
    """002's penalty: E_old[log 1/π] − KL(old‖π) is the entropy of the old policy; under another it is no constant."""
    old = Categorical(jnp.array([0.0, 1.0, -0.5]))
    others = [Categorical(jnp.array(logits)) for logits in ([0.3, -1.0, 0.5], [2.0, 0.0, 0.0], [0.0, 1.0, 0.5])]

    def excess(weight):
        return np.array([float(-weight @ jax.nn.log_softmax(each.logits) - old.kl(each)) for each in others])

    np.testing.assert_allclose(excess(jax.nn.softmax(old.logits)), float(old.entropy()), rtol=1e-12)
    for action in range(3):  # on one sample, whichever it is
        assert np.ptp(excess(jnp.eye(3)[action])) > 0.1


def test_the_log_of_a_product_is_the_sum_of_logs_and_the_slope_is_in_the_parameters():
    """004 drops the logs of the factors of p(τ): ∇ log p(τ) is the sum of the scores, ∇p(τ) is not."""
    mdp = random_mdp(2, 2, 2, horizon=3)
    every = every_trajectory(2, 2, 3)
    logits = jnp.array([[0.2, -0.4], [0.7, 0.1]])

    def chance(each):
        return probability(mdp, jax.nn.softmax(each), every)

    slope = jax.jit(jax.jacobian(lambda each: jnp.log(chance(each))))(logits).reshape(-1, 4)
    total = jax.jit(lambda each: scores(jax.nn.softmax(each), every).sum(axis=1))(logits)
    np.testing.assert_allclose(slope, total, rtol=1e-9, atol=1e-12)
    assert not np.allclose(jax.jit(jax.jacobian(chance))(logits).reshape(-1, 4), total, atol=0.1)


def test_the_factor_of_004_is_what_makes_it_the_gradient_of_j():
    """γ^{k−1} before ∇log π is option 2 of G5; left out, it is the gradient of something else."""
    mdp = random_mdp(3, 2, 2, discount=0.7, horizon=4)
    logits = jnp.array([[0.2, -0.4], [0.7, 0.1]])
    truth = jax.grad(lambda each: mdp.performance(jax.nn.softmax(each)))(logits).ravel()
    every = every_trajectory(2, 2, 4)
    probs = jax.nn.softmax(logits)
    chance, score, reward = probability(mdp, probs, every), scores(probs, every), rewards(mdp, every)
    to_go = jnp.stack([reward[:, t:] @ powers(jnp.asarray(0.7), 4 - t) for t in range(4)], axis=1)
    with_factor = jnp.einsum("k,t,ktn,kt->n", chance, powers(jnp.asarray(0.7), 4), score, to_go)
    without = jnp.einsum("k,ktn,kt->n", chance, score, to_go)
    np.testing.assert_allclose(with_factor, truth, rtol=1e-9, atol=1e-12)
    assert jnp.linalg.norm(without - truth) > 0.05 * jnp.linalg.norm(truth)
