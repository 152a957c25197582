"""Exact critics against the oracles, and policies whose observation statistics stay as they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.core.moments import Moments, ObservationNormaliser
from steepest.core.spaces import Box, Discrete, Spec
from steepest.diagnostics.exact import exact_action_values, exact_gradient, exact_values, with_horizon
from steepest.diagnostics.frozen import FrozenNormaliser, NormalisedPolicy
from steepest.oracles import LinearQuadratic, random_mdp
from steepest.policies import LinearGaussian, TabularPolicy, network_policy

HORIZON, STREAMS = 4, 3
LINEAR = LinearQuadratic(0.9, initial_mean=0.5, initial_std=0.7, process_std=0.4)
GAUSSIAN = LinearGaussian(jnp.asarray(-0.2), jnp.asarray(-0.3))


def test_values_of_the_linear_quadratic_problem_are_those_of_the_oracle():
    problem = with_horizon(LINEAR, HORIZON)
    assert (problem.horizon, problem.process_std, problem.initial_mean, problem.initial_std) == (HORIZON, 0.4, 0.5, 0.7)
    generator = np.random.default_rng(0)
    state, action = generator.normal(size=(2, HORIZON, STREAMS)).astype(np.float32)
    time = np.broadcast_to(np.arange(HORIZON)[:, None], state.shape)
    rows = time, *np.indices(state.shape)
    value = exact_values(problem, GAUSSIAN)
    np.testing.assert_allclose(
        value(jnp.asarray(state[..., None]), jnp.asarray(time)), problem.values(GAUSSIAN, state)[rows], rtol=1e-5
    )
    assert float(value(jnp.ones((1, 1)), jnp.array([HORIZON]))[0]) == 0
    action_value = exact_action_values(problem, GAUSSIAN)
    wanted = problem.action_values(GAUSSIAN, state, action)[rows]
    np.testing.assert_allclose(
        action_value(jnp.asarray(state[..., None]), jnp.asarray(action[..., None])), wanted, rtol=1e-5
    )
    flat = action_value(jnp.asarray(state.reshape(-1, 1)), jnp.asarray(action.reshape(-1, 1)))
    np.testing.assert_allclose(flat, wanted.ravel(), rtol=1e-5)


def test_values_of_a_table_are_those_of_the_oracle():
    mdp = with_horizon(random_mdp(0, states=5, actions=3, discount=0.9), HORIZON)
    policy = TabularPolicy(jnp.asarray(np.random.default_rng(1).normal(size=(5, 3)), jnp.float32))
    probs = mdp.probabilities(policy)
    generator = np.random.default_rng(2)
    state, action = generator.integers(0, 5, (HORIZON, STREAMS)), generator.integers(0, 3, (HORIZON, STREAMS))
    time = np.broadcast_to(np.arange(HORIZON)[:, None], state.shape)
    state, action, when = (jnp.asarray(each, jnp.int32) for each in (state, action, time))
    np.testing.assert_allclose(
        exact_values(mdp, policy)(state, when), mdp.values(probs)[time, np.asarray(state)], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        exact_action_values(mdp, policy)(state, action),
        mdp.action_values(probs)[time, np.asarray(state), np.asarray(action)],
        rtol=1e-5,
        atol=1e-6,
    )
    np.testing.assert_array_equal(exact_gradient(mdp, policy), mdp.policy_gradient(policy).logits.ravel())


@pytest.fixture
def normalised():
    spec = Spec(Box(-9, 9, (2,)), Discrete(3), num_envs=1, total_updates=1)
    inner = network_policy(jax.random.key(0), spec, hidden=(4,), output_scale=1.0)
    normaliser = ObservationNormaliser(Moments(jnp.array([1.0, -2.0]), jnp.array([4.0, 0.25]), jnp.asarray(7.0)))
    return inner, normaliser, NormalisedPolicy(inner, FrozenNormaliser(normaliser))


def test_statistics_are_applied_and_have_no_gradient(normalised):
    inner, normaliser, policy = normalised
    obs = jnp.array([[3.0, -1.0], [0.0, 0.0]])
    np.testing.assert_array_equal(policy(obs).logits, inner(normaliser(obs)).logits)
    assert not np.allclose(policy(obs).logits, inner(obs).logits)
    assert jax.tree.leaves(policy) == jax.tree.leaves(inner)
    gradient = jax.jit(jax.grad(lambda each: jnp.sum(each(obs).log_prob(jnp.array([0, 1])))))(policy)
    assert len(jax.tree.leaves(gradient)) == len(jax.tree.leaves(inner))


def test_equal_statistics_share_a_compiled_program(normalised):
    inner, normaliser, policy = normalised
    same, other = FrozenNormaliser(normaliser), FrozenNormaliser(ObservationNormaliser(Moments.initial((2,))))
    assert (policy.normaliser, hash(policy.normaliser)) == (same, hash(same))
    assert policy.normaliser != other
    assert jax.tree.structure(policy) == jax.tree.structure(NormalisedPolicy(inner, same))
