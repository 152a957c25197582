"""Sampling a problem gives, on average, what is known of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.core.interfaces import AbstractActor, RolloutSpec
from steepest.core.spaces import Discrete, Spec
from steepest.oracles import LinearQuadratic, TabularMDP, random_mdp
from steepest.policies import LinearGaussian, TabularPolicy
from steepest.sampling.compiled import sample, start


class Acting(AbstractActor):
    """Acts with the agent as its policy, and learns nothing."""

    spec: Spec
    rollout: RolloutSpec

    def act(self, key, agent, carry, obs):
        return *agent(obs).sample_and_log_prob(key), carry


def episodes(env, policy, count=4000, seed=0):
    algorithm = Acting(Spec(env.observation_space, env.action_space, count, 1), RolloutSpec(None, whole_episodes=True))
    key = jax.random.key(seed)

    @jax.jit
    def roll_out(policy):
        return sample(algorithm, policy, env, start(algorithm, env, key), jax.random.fold_in(key, 1))[1]

    return jax.tree.map(np.asarray, roll_out(policy))


def check_mean(returns, expected):
    """Within 4 standard errors."""
    assert abs(returns.mean() - expected) < 4 * returns.std() / np.sqrt(len(returns))


def discounted_returns(trajectory, discount):
    powers = discount ** np.arange(len(trajectory.reward))[:, None]
    return (powers * trajectory.reward * trajectory.valid).sum(axis=0)


@pytest.fixture
def ending():
    """A random walk of three cells, of which the last is the end."""
    transition = random_mdp(0, 3, 2, branching=2).transition.copy()
    transition[0] = [[0.2, 0.7, 0.1], [0.0, 0.9, 0.1]]
    transition[2, :, 2] = 1
    transition[2, :, :2] = 0
    return TabularMDP(transition, [[1.0, -1.0], [0.5, 2.0], [0.0, 0.0]], [0.3, 0.7, 0.0], discount=0.9)


def test_returns_of_a_problem_with_a_horizon_average_to_its_performance():
    mdp = random_mdp(1, 4, 3, branching=2, discount=0.9, horizon=5)
    env, policy = mdp.as_env(), TabularPolicy(jax.random.normal(jax.random.key(0), (4, 3)))
    assert (env.observation_space, env.action_space, env.max_episode_steps) == (Discrete(4), Discrete(3), 5)
    trajectory = episodes(env, policy)
    check_mean(discounted_returns(trajectory, 0.9), mdp.performance(mdp.probabilities(policy)))
    np.testing.assert_array_equal(trajectory.terminated, np.arange(5)[:, None] == np.full((1, 4000), 4))
    assert trajectory.valid.all()
    states = np.stack([(trajectory.obs == state).mean(axis=1) for state in range(4)], axis=1)
    np.testing.assert_allclose(states, mdp.state_distribution(mdp.probabilities(policy)), atol=0.035)


def test_returns_of_episodes_that_end_average_to_its_performance(ending):
    policy = TabularPolicy(jnp.array([[0.3, -0.2], [0.1, 0.0], [0.0, 0.0]]))
    trajectory = episodes(ending.as_env(max_episode_steps=100), policy)
    check_mean(discounted_returns(trajectory, 0.9), ending.performance(ending.probabilities(policy)))
    np.testing.assert_array_equal(trajectory.terminated, trajectory.next_obs == 2)
    assert not np.any(trajectory.valid & (trajectory.obs == 2))


def test_a_time_limit_of_ones_own_truncates_and_does_not_terminate():
    trajectory = episodes(random_mdp(2, 3, 2).as_env(max_episode_steps=4), TabularPolicy(jnp.zeros((3, 2))), count=5)
    assert trajectory.reward.shape == (4, 5)
    assert trajectory.truncated[3].all()
    assert not trajectory.terminated.any()


def test_successors_and_first_states_come_as_often_as_the_table_says():
    mdp = random_mdp(3, 4, 2, branching=3)
    env = mdp.as_env()
    keys = jax.random.split(jax.random.key(0), 20_000)
    first = np.asarray(jax.vmap(env.initial)(keys).cell)
    np.testing.assert_allclose(np.bincount(first, minlength=4) / 20_000, mdp.initial, atol=0.015)
    state = jax.tree.map(lambda leaf: leaf + 2, env.initial(keys[0]))._replace(cell=jnp.int32(2))
    after, reward, _ = jax.vmap(lambda key: env.step(key, state, jnp.int32(1)))(keys)
    np.testing.assert_allclose(np.bincount(after.cell, minlength=4) / 20_000, mdp.transition[2, 1], atol=0.015)
    np.testing.assert_allclose(reward, mdp.reward[2, 1], rtol=1e-6)


def test_an_outcome_that_cannot_happen_never_does():
    transition = np.zeros((3, 1, 3))
    transition[:, 0] = [[0, 0.1, 0.9], [1 / 3, 0, 2 / 3], [0.5, 0.5, 0]]
    env = TabularMDP(transition, np.ones((3, 1)), [1.0, 0, 0], 0.9).as_env()
    keys = jax.random.split(jax.random.key(0), 10_000)
    for cell in range(3):
        state = env.initial(keys[0])._replace(cell=jnp.int32(cell))
        after, _, _ = jax.vmap(lambda key, state=state: env.step(key, state, jnp.int32(0)))(keys)
        assert not np.any(np.asarray(after.cell) == cell)


def test_returns_of_the_linear_quadratic_problem_average_to_its_performance():
    problem = LinearQuadratic(0.9, horizon=6, initial_mean=0.5, process_std=0.3)
    policy = LinearGaussian(jnp.float32(-0.4), jnp.float32(-0.5))
    trajectory = episodes(problem.as_env(), policy)
    check_mean(discounted_returns(trajectory, 0.9), problem.performance(policy))
    assert trajectory.terminated[-1].all()
    assert not trajectory.terminated[:-1].any()
    first, second = problem.state_moments(policy, 6)
    np.testing.assert_allclose(trajectory.obs[..., 0].mean(axis=1), first, atol=0.08)
    np.testing.assert_allclose((trajectory.obs[..., 0] ** 2).mean(axis=1), second, rtol=0.12)


def test_a_time_limit_shorter_than_the_horizon_is_refused():
    with pytest.raises(ValueError, match="max_episode_steps is 3; it must be a whole number and at least 5"):
        random_mdp(0, 3, 2, horizon=5).as_env(max_episode_steps=3)
