"""The gradients that move a policy on rows of a ring, against the exact ones."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from steepest.algorithms.bodies.improvement import ByDeterministicGradient, ByFreshActions, ByRatio
from steepest.core.spaces import Box, Discrete, Spec
from steepest.core.trajectory import Batch, Trajectory
from steepest.critics import AbstractActionValue, CompatibleActionValue, TabularActionValue, ValueRegression
from steepest.oracles import LinearQuadratic
from steepest.policies import LinearGaussian, TabularPolicy
from steepest.replay import ReplayBuffer

KEY = jax.random.key(0)
STATES, ACTIONS = 4, 3
LOGITS, TABLE, OTHER = np.random.default_rng(0).normal(size=(3, STATES, ACTIONS))


def softmax(logits):
    chance = np.exp(logits - logits.max(axis=1, keepdims=True))
    return chance / chance.sum(axis=1, keepdims=True)


def exact(share):
    """Σ_s d(s) Σ_a ∇π(a|s) Q(s,a), by hand, for a softmax over logits."""
    chance = softmax(LOGITS)
    worth = np.sum(chance * TABLE, axis=1, keepdims=True)
    return share[:, None] * chance * (TABLE - worth)


POLICY, CRITIC = TabularPolicy(jnp.asarray(LOGITS, jnp.float32)), TabularActionValue(jnp.asarray(TABLE, jnp.float32))


def test_the_ratio_has_the_off_policy_gradient():
    """G13, every state and action enumerated, with the behaviour's probability as the weight of a row."""
    behaviour, share = softmax(OTHER), np.array([0.4, 0.3, 0.2, 0.1])
    obs, action = (each.reshape(-1) for each in np.indices((STATES, ACTIONS)))
    batch = Batch(
        jnp.asarray(obs, jnp.int32),
        jnp.asarray(action, jnp.int32),
        jnp.asarray(np.log(behaviour[obs, action]), jnp.float32),
        jnp.ones(len(obs)),
        jnp.asarray(share[obs] * behaviour[obs, action], jnp.float32),
    )
    found = jax.jit(lambda batch: ByRatio(1).problem(KEY, POLICY, CRITIC, batch).gradient(POLICY)[0])(batch)
    np.testing.assert_allclose(found.logits, exact(share), rtol=1e-5, atol=1e-6)


def test_the_gradient_of_a_row_is_its_ratio_times_its_score():
    """ρ∇log π (Q − V), row by row."""
    for obs, action, log_prob in [(0, 1, -0.3), (2, 0, -2.0)]:
        batch = Batch(*(jnp.array([each]) for each in (obs, action)), *(jnp.array([x]) for x in (log_prob, 1.0, 1.0)))
        found = jax.jit(lambda batch: ByRatio(1).problem(KEY, POLICY, CRITIC, batch).gradient(POLICY)[0])(batch).logits
        chance = softmax(LOGITS)
        score = np.eye(ACTIONS)[action] - chance[obs]
        advantage = TABLE[obs, action] - chance[obs] @ TABLE[obs]
        expected = np.zeros((STATES, ACTIONS))
        expected[obs] = chance[obs, action] / np.exp(log_prob) * score * advantage
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def replayed():
    """States as a ring holds them, with actions of somebody else, and the share of each state."""
    spec = Spec(Discrete(STATES), Discrete(ACTIONS), 2, 1)
    obs = jax.random.categorical(KEY, jnp.array([0.0, 1.0, -1.0, 0.5]), shape=(100, 2)).astype(jnp.int32)
    zero, no = jnp.zeros((100, 2)), jnp.zeros((100, 2), bool)
    rows = Trajectory(obs, jnp.full((100, 2), 2), obs, zero, zero, no, no, ~no)
    ring = ReplayBuffer.initial(spec, 200).add(rows)
    share = np.bincount(np.asarray(ring.obs), minlength=STATES) / 200
    one = jnp.ones(200)
    return Batch(ring.obs, ring.action, ring.log_prob, one, one), share


def test_the_sum_over_actions_has_the_exact_gradient_on_the_states_of_a_ring(replayed):
    batch, share = replayed
    found = ByFreshActions("expected", 1).problem(KEY, POLICY, CRITIC, batch).gradient(POLICY)[0]
    np.testing.assert_allclose(found.logits, exact(share), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("actions", [1, 4])
def test_scores_of_fresh_actions_have_the_same_gradient_on_average(replayed, actions):
    """G14; the baseline of the other actions takes noise away, and nothing else."""
    batch, share = replayed

    def gradient(key):
        return ByFreshActions("score", actions).problem(key, POLICY, CRITIC, batch).gradient(POLICY)[0].logits

    draws = np.asarray(jax.jit(jax.vmap(gradient))(jax.random.split(KEY, 2000)), np.float64)
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(axis=0) - exact(share)) < 4 * error)
    assert np.any(np.abs(exact(share)) * 0.05 > 4 * error) or actions == 1


LQ = LinearQuadratic(discount=0.9)
FEEDBACK = LinearGaussian(jnp.array(-0.3), jnp.array(-1.0))
CURVATURE = (1 + 0.3**2) / (1 - 0.9 * 0.7**2)
"""p, where V(s) = −(p s² + c)."""


class Quadratic(AbstractActionValue):
    """The exact Q of the linear-quadratic problem, less its constant."""

    def __call__(self, obs, action):
        return -jnp.sum(obs**2 + action**2 + 0.9 * CURVATURE * (obs + action) ** 2, axis=-1)

    def values(self, obs):
        raise AssertionError("actions are continuous: nobody may ask for a value of each")


def states(count, seed=1):
    obs = 0.5 + jax.random.normal(jax.random.key(seed), (count, 1))
    noise = jax.random.normal(jax.random.key(seed + 1), (count, 1))
    one = jnp.ones(count)
    batch = Batch(obs, FEEDBACK.gain * obs + jnp.exp(FEEDBACK.log_std) * noise, one, one, one)
    slope = -2 * (-0.3 + 0.9 * CURVATURE * 0.7)
    return batch, slope * float(np.mean(np.asarray(obs, np.float64) ** 2))


def test_the_exact_q_is_the_problems_own():
    state, action = jnp.array([0.3, -1.0]), jnp.array([0.5, 0.2])
    found = Quadratic()(state[:, None], action[:, None])
    true = LQ.action_values(FEEDBACK, np.asarray(state, np.float64), np.asarray(action, np.float64))
    np.testing.assert_allclose(np.diff(found), np.diff(true), rtol=1e-5)


def test_the_deterministic_gradient_is_exact_with_the_exact_q():
    """G15: ∂μ/∂k ∂Q/∂a = −2s²(k + γp(1 + k)) in every state."""
    batch, expected = states(256)
    found = ByDeterministicGradient().problem(KEY, FEEDBACK, Quadratic(), batch).gradient(FEEDBACK)[0]
    np.testing.assert_allclose(found.gain, expected, rtol=1e-6)
    assert found.log_std == 0


def test_the_compatible_critic_gives_the_exact_gradient_though_it_is_not_q():
    """Theorem 3 of Silver et al.: fitted to the true Q on noisy actions, by least squares, over many data sets."""
    spec = Spec(Box(-np.inf, np.inf, (1,)), Box(-1, 1, (1,)), 1, 1)
    fresh = CompatibleActionValue.initial(KEY, spec, FEEDBACK, hidden=())

    def error(seed):
        key = jax.random.fold_in(KEY, seed)
        obs = 0.5 + jax.random.normal(key, (400, 1))
        noise = 0.5 * jax.random.normal(jax.random.fold_in(key, 1), (400, 1))
        action, one = FEEDBACK.gain * obs + noise, jnp.ones(400)
        # Against V(s) = −p s², so that what a linear V cannot say does not enter.
        target = Quadratic()(obs, action) - Quadratic()(obs, FEEDBACK.gain * obs)
        problem = ValueRegression((obs, action), target, one)
        vector, unravel = ravel_pytree(fresh)

        def slope(vector):
            return ravel_pytree(problem.gradient(unravel(vector))[0])[0]

        curvature = -jax.jacobian(slope)(vector)
        critic = unravel(vector + jnp.linalg.pinv(curvature, rtol=1e-5, hermitian=True) @ slope(vector))
        batch = Batch(obs, action, one, one, one)
        found = ByDeterministicGradient().problem(KEY, FEEDBACK, critic, batch).gradient(FEEDBACK)[0].gain
        return found, -2 * (-0.3 + 0.9 * CURVATURE * 0.7) * jnp.mean(obs**2)

    found, expected = jax.jit(jax.vmap(error))(jnp.arange(200))
    difference = np.asarray(found - expected, np.float64)
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(200)
    assert 4 * difference.std() / np.sqrt(200) < 0.05 * abs(np.mean(expected))


def test_a_compatible_critic_belongs_to_its_policy_and_teaches_it_nothing_by_itself():
    spec = Spec(Box(-np.inf, np.inf, (1,)), Box(-1, 1, (1,)), 1, 1)
    fresh = CompatibleActionValue.initial(KEY, spec, FEEDBACK, hidden=())
    critic = eqx.tree_at(lambda each: each.weights.gain, fresh, jnp.array(2.0))
    obs, action = jnp.array([[0.5]]), jnp.array([[1.0]])
    np.testing.assert_allclose(
        critic(obs, action) - critic(obs, FEEDBACK.gain * obs), (1.0 + 0.15) * 0.5 * 2, rtol=1e-5
    )
    moved = critic.with_policy(LinearGaussian(jnp.array(2.0), jnp.array(-1.0)))
    np.testing.assert_allclose(moved(obs, action), critic(obs, FEEDBACK.gain * obs), rtol=1e-5, atol=1e-6)
    slope = jax.grad(lambda each: jnp.sum(each(obs, action)))(critic)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(slope.policy))
    assert slope.weights.gain == (1.0 + 0.15) * 0.5


@pytest.mark.parametrize("form", ["score", "reparameterised"])
def test_both_forms_of_a_continuous_policy_have_the_exact_gradient_on_average(form):
    batch, expected = states(64)

    def gradient(key):
        found = ByFreshActions(form, 4 if form == "score" else 1).problem(key, FEEDBACK, Quadratic(), batch)
        return jnp.stack(jax.tree.leaves(found.gradient(FEEDBACK)[0]))

    draws = np.asarray(jax.jit(jax.vmap(gradient))(jax.random.split(KEY, 2000)), np.float64)
    exact = np.array([expected, -2 * np.exp(-2.0) * (1 + 0.9 * CURVATURE)])
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(axis=0) - exact) < 4 * error)
    assert np.all(4 * error < 0.1 * np.abs(exact))
