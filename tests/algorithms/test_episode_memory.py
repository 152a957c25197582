"""Episodes of older policies: which are kept, and what they say of the new one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from worlds import Corridor

from steepest.advantages import MonteCarlo
from steepest.algorithms import ImportanceSampledPG
from steepest.core.errors import InputError
from steepest.core.spaces import Spec
from steepest.core.trajectory import Batch, Estimates
from steepest.objectives import Ratio, Score
from steepest.sampling.compiled import sample, start

ENV = Corridor()
KEY = jax.random.key(7)


def composed(**options):
    parameters = ImportanceSampledPG(**{"num_envs": 6, "policy": "tabular", "batches": 3, **options})
    return parameters.build(Spec(ENV.observation_space, ENV.action_space, 6, 10, ENV.max_episode_steps))


def played(algorithm, agent, key):
    return sample(algorithm, agent, ENV, start(algorithm, ENV, key), key)[1]


def moved(algorithm, agent, by):
    import equinox as eqx

    logits = by * jax.random.normal(KEY, agent.policy.logits.shape)
    return eqx.tree_at(lambda each: each.policy.logits, agent, agent.policy.logits + logits)


def test_the_newest_batches_are_kept_and_the_oldest_is_replaced():
    algorithm = composed()
    agent, update = algorithm.init(KEY), jax.jit(algorithm.update)
    rewards = []
    assert not bool(jnp.any(agent.experience.valid))
    for index in range(4):
        trajectory = played(algorithm, agent, jax.random.key(index))
        rewards.append(np.asarray(trajectory.reward))
        agent, _ = update(KEY, agent, trajectory)
        assert int(jnp.sum(jnp.any(agent.experience.valid, axis=0))) == min(6 * (index + 1), 18)
    kept = np.asarray(agent.experience.reward)
    np.testing.assert_array_equal(kept[:, :6], rewards[3])
    np.testing.assert_array_equal(kept[:, 6:12], rewards[1])
    np.testing.assert_array_equal(kept[:, 12:], rewards[2])


def test_short_episodes_leave_nothing_of_the_longer_ones_that_they_replace():
    algorithm = composed(batches=1)
    agent, update = algorithm.init(KEY), jax.jit(algorithm.update)
    long = played(algorithm, agent, KEY)
    agent, _ = update(KEY, agent, long)
    short = jax.tree.map(lambda leaf: leaf[:2], long)
    agent, _ = update(KEY, agent, short)
    assert bool(jnp.any(long.valid[2:]))
    np.testing.assert_array_equal(agent.experience.valid[:2], short.valid)
    assert not bool(jnp.any(agent.experience.valid[2:]))


def test_on_the_policy_that_played_every_weight_is_the_score_with_the_reward_to_go():
    """All ratios are 1: what is left is REINFORCE with an average subtracted, up to scale."""
    for weight in ("first_order", "causal", "whole"):
        algorithm = composed(batches=1, importance_weight=weight, weight_limit=float("inf"))
        agent = algorithm.init(KEY)
        trajectory = played(algorithm, agent, KEY)
        problem, sample_size = algorithm._problem(agent.policy, trajectory)
        zero = jnp.zeros(trajectory.reward.shape)
        returns = MonteCarlo(0.99)(trajectory, zero, zero).value_target
        mean = jnp.mean(returns[trajectory.valid])
        batch = Batch.of(trajectory, Estimates(returns - mean, returns))
        wanted = jax.grad(lambda policy: Score()(policy, batch)[0])(agent.policy).logits  # noqa: B023
        found = problem.gradient(agent.policy)[0].logits
        np.testing.assert_allclose(_unit(found), _unit(wanted), atol=1e-4)
        count = 6 if weight == "whole" else jnp.sum(trajectory.valid)
        np.testing.assert_allclose(sample_size, count, rtol=1e-4)


def _unit(tree):
    vector = ravel_pytree(tree)[0]
    return vector / jnp.linalg.norm(vector)


def test_the_first_order_weight_is_the_gradient_of_the_ratio_surrogate():
    """Away from the policy that played, ∇ρ = ρ ∇log π: one ratio for each action."""
    algorithm = composed(batches=1, weight_limit=float("inf"))
    old = algorithm.init(KEY)
    trajectory = played(algorithm, old, KEY)
    policy = moved(algorithm, old, 0.5).policy
    problem, sample_size = algorithm._problem(policy, trajectory)
    zero = jnp.zeros(trajectory.reward.shape)
    returns = jnp.where(trajectory.valid, MonteCarlo(0.99)(trajectory, zero, zero).value_target, 0)
    ratio = jnp.exp(policy(trajectory.obs).log_prob(trajectory.action) - trajectory.log_prob)
    ratio = jnp.where(trajectory.valid, ratio, 0)
    average = jnp.sum(ratio * returns) / jnp.sum(ratio)
    batch = Batch.of(trajectory, Estimates(returns - average, returns))
    wanted = jax.grad(lambda policy: Ratio()(policy, batch)[0])(policy)
    np.testing.assert_allclose(_unit(problem.gradient(policy)[0]), _unit(wanted), atol=1e-4)
    assert float(sample_size) < 0.99 * float(jnp.sum(trajectory.valid))


def test_limited_weights_pull_less():
    algorithm = composed(batches=1, weight_limit=1.0)
    old = algorithm.init(KEY)
    trajectory = played(algorithm, old, KEY)
    policy = moved(algorithm, old, 1.0).policy
    ratio = jnp.exp(policy(trajectory.obs).log_prob(trajectory.action) - trajectory.log_prob)
    assert float(jnp.max(jnp.where(trajectory.valid, ratio, 0))) > 1.5
    free, _ = composed(batches=1, weight_limit=float("inf"))._problem(policy, trajectory)
    limited, _ = algorithm._problem(policy, trajectory)
    assert not np.allclose(_unit(free.gradient(policy)[0]), _unit(limited.gradient(policy)[0]), atol=1e-2)


def test_without_a_time_limit_nothing_can_be_kept():
    with pytest.raises(InputError, match="no time limit"):
        ImportanceSampledPG().build(Spec(ENV.observation_space, ENV.action_space, 16, 10))
