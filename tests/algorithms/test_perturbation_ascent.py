"""Who plays what, and what comes of it, where parameters are perturbed."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from steepest.algorithms import FiniteDifferenceAscent, RegressionAscent
from steepest.core.spaces import Box, Spec
from steepest.core.trajectory import Trajectory

KEY = jax.random.key(3)
BOX = Box(-1.0, 1.0, (1,))
OBSERVATION = Box(-1.0, 1.0, (2,))


def composed(parameters, action=BOX):
    streams = parameters.num_streams(OBSERVATION, action)
    return parameters.build(Spec(OBSERVATION, action, streams, 10))


def played(algorithm, reward):
    """Episodes of one step that end; the second row of each stream does not count."""
    count = algorithm.spec.num_envs
    rows = jnp.stack([jnp.asarray(reward, jnp.float32), jnp.full(count, 100.0)])
    zero, no = jnp.zeros((2, count)), jnp.zeros((2, count), bool)
    obs = jnp.zeros((2, count, 2))
    valid = no.at[0].set(True)
    return Trajectory(obs, jnp.zeros((2, count, 1)), obs, rows, zero, valid, no, valid)


def test_a_group_of_streams_acts_by_the_policies_that_its_carry_names():
    """Two groups of environments are served in turn, and each knows which of the policies it plays."""
    algorithm = composed(FiniteDifferenceAscent(episodes_per_policy=2))
    agent, carry = algorithm.init(KEY), algorithm.initial_carry(algorithm.spec)
    obs = jax.random.normal(KEY, (16, 2))
    whole = algorithm.act(KEY, agent, carry, obs)[0]
    some = slice(5, 11)
    np.testing.assert_allclose(algorithm.act(KEY, agent, carry[some], obs[some])[0], whole[some], rtol=1e-6)


def test_stream_i_acts_by_the_i_th_perturbed_policy_counted_around():
    algorithm = composed(FiniteDifferenceAscent(episodes_per_policy=2))
    agent = algorithm.init(KEY)
    vector, unravel = ravel_pytree(agent.policy)
    assert vector.shape == (4,)  # two weights, a bias, and the log σ
    obs = jax.random.normal(KEY, (16, 2))
    action, log_prob = algorithm.act(KEY, agent, algorithm.initial_carry(algorithm.spec), obs)[:2]
    for stream in range(16):
        distribution = unravel(vector + agent.experience[stream % 8])(obs[stream])
        np.testing.assert_allclose(action[stream], distribution.mode(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(log_prob[stream], distribution.log_prob(distribution.mode()), rtol=1e-5)


def test_noise_is_drawn_around_the_perturbed_policies_where_it_is_asked_for():
    algorithm = composed(FiniteDifferenceAscent(noisy_actions=True))
    agent = algorithm.init(KEY)
    action, log_prob = algorithm.act(KEY, agent, algorithm.initial_carry(algorithm.spec), jnp.zeros((8, 2)))[:2]
    vector, unravel = ravel_pytree(agent.policy)
    for stream in range(8):
        distribution = unravel(vector + agent.experience[stream])(jnp.zeros(2))
        assert not np.allclose(action[stream], distribution.mode())
        np.testing.assert_allclose(log_prob[stream], distribution.log_prob(action[stream]), rtol=1e-5)


@pytest.mark.parametrize(
    "parameters", [FiniteDifferenceAscent(episodes_per_policy=2), RegressionAscent(perturbations=15)]
)
def test_the_step_follows_the_gradient_of_a_known_return(parameters):
    """Of a linear return c·θ every method finds c exactly; the restricted step is then √(2ε) c/‖c‖."""
    algorithm = composed(dataclasses.replace(parameters, restricted_radius=0.02, discount=0.5))
    agent = algorithm.init(KEY)
    vector, _ = ravel_pytree(agent.policy)
    slope = jnp.array([1.0, -2.0, 0.5, 3.0])
    returns = (vector[None] + agent.experience) @ slope
    copies = algorithm.spec.num_envs // len(returns)
    luck = jnp.linspace(-1.0, 1.0, copies) if copies > 1 else jnp.zeros(1)
    reward = (returns[None] + luck[:, None]).reshape(-1)  # episodes of one policy differ; their mean is right
    after, info = jax.jit(algorithm.update)(KEY, agent, played(algorithm, reward))
    moved = ravel_pytree(after.policy)[0] - vector
    np.testing.assert_allclose(moved, 0.2 * slope / jnp.linalg.norm(slope), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(info.metrics["step_length"], 0.2, rtol=1e-3)
    np.testing.assert_allclose(info.metrics["gradient_norm"], jnp.linalg.norm(slope), rtol=1e-3)


def test_an_agent_for_evaluation_acts_by_the_parameters_themselves():
    algorithm = composed(RegressionAscent())
    agent = algorithm.for_evaluation(algorithm.init(KEY))
    obs = jax.random.normal(KEY, (7, 2))
    action, log_prob, _ = algorithm.act(KEY, agent, (), obs)
    np.testing.assert_allclose(log_prob, agent.policy(obs).log_prob(action), rtol=1e-5)
    np.testing.assert_allclose(algorithm.act_deterministic(agent, (), obs)[0], agent.policy(obs).mode())


def test_rewards_are_discounted_from_the_start_of_the_episode():
    algorithm = composed(FiniteDifferenceAscent(discount=0.5))
    trajectory = played(algorithm, jnp.ones(8))
    longer = eqx.tree_at(lambda each: each.valid, trajectory, jnp.ones((2, 8), bool))
    np.testing.assert_allclose(algorithm._returns(trajectory), jnp.ones(8))
    np.testing.assert_allclose(algorithm._returns(longer), jnp.full(8, 51.0))


def test_streams_are_as_many_as_the_policies_or_a_multiple():
    assert FiniteDifferenceAscent().num_streams(OBSERVATION, BOX) == 8
    assert FiniteDifferenceAscent(central=False).num_streams(OBSERVATION, BOX) == 5
    assert RegressionAscent(perturbations=20).num_streams(OBSERVATION, BOX) == 21
    assert RegressionAscent(perturbations=20, episodes_per_policy=2).num_streams(OBSERVATION, BOX) == 42


def test_it_trains_and_is_evaluated_on_the_host_as_on_any_other():
    """EnvPool serves two groups of streams; a stochastic evaluation has no perturbations."""
    import steepest
    from steepest.envs.tasks import resolve
    from steepest.experiments.evaluating import evaluate_agent

    result = steepest.train(
        "finite_difference_ascent", "CartPole-v1", backend="envpool", total_steps=500, evaluation_episodes=3
    )
    task = resolve("CartPole-v1", "envpool")
    returns = evaluate_agent(result.algorithm, task, result.agents[0], 0, episodes=3, stochastic=True).returns
    assert returns.shape == (3,)


def test_no_gradient_moves_nothing():
    algorithm = composed(RegressionAscent(perturbations=7, restricted_radius=0.01))
    agent = algorithm.init(KEY)
    after, _ = algorithm.update(jax.random.key(4), agent, played(algorithm, jnp.ones(8)))
    np.testing.assert_array_equal(ravel_pytree(after.policy)[0], ravel_pytree(agent.policy)[0])
    assert not np.array_equal(after.experience, agent.experience)
