"""Policies with memory against the exact gradient of a policy of histories (G19), and values of histories (C8).

Means of samples lie within four standard errors of the exact answer in every coordinate. They are so many that an error
of a tenth of the largest coordinate would stand out by six. Policies without their memory would stand out too.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import steepest
from steepest.advantages import GAE, MonteCarlo, WholeReturn
from steepest.core.spaces import Discrete
from steepest.critics import AbstractStateValue
from steepest.estimators import LikelihoodRatio, VarianceOptimal
from steepest.networks import CategoricalHead, FlatEncoder, RecurrentTrunk
from steepest.oracles import TabularMDP, TabularPOMDP, random_mdp
from steepest.policies import RecurrentPolicy
from steepest.sampling.compiled import sample, start

DISCOUNT, OBSERVATIONS, ACTIONS = 0.8, 2, 2


def recurrent(memory="gru", seed=0):
    """A small policy that leans on its memory."""
    key, encoder = jax.random.key(seed), FlatEncoder(Discrete(OBSERVATIONS))
    trunk = RecurrentTrunk.initial(key, encoder, hidden=(), activation="tanh", memory=memory, size=2)
    policy = RecurrentPolicy.initial(key, trunk, CategoricalHead(ACTIONS), output_scale=2.0)
    return jax.tree.map(lambda leaf: 1.5 * leaf, policy)


def forgetful(pomdp, policy, **how):
    """The policy gradient of the same parameters, where every observation is taken for the first."""

    class WithoutMemory(eqx.Module):
        policy: RecurrentPolicy

        def initial_carry(self, num_streams):
            return self.policy.initial_carry(num_streams)

        def step(self, carry, obs):
            return self.policy.step(self.policy.initial_carry(len(obs)), obs)[0], carry

    return pomdp.policy_gradient(WithoutMemory(policy), **how).policy


def check_mean(gradients, expected, others=()):
    """`gradients` has a row for each repeat."""
    exact = np.asarray(ravel_pytree(expected)[0])
    error = gradients.std(axis=0, ddof=1) / np.sqrt(len(gradients))
    assert (0.1 * np.abs(exact) > 6 * error).any()
    for other in others:
        assert (np.abs(np.asarray(ravel_pytree(other)[0]) - exact) > 8 * error).any()
    np.testing.assert_array_less(np.abs(gradients.mean(axis=0) - exact), 4 * error + 1e-7)


@pytest.fixture(scope="module")
def ending():
    """Its last state is an end, which is seen as any other: some episodes terminate early."""
    mdp = random_mdp(3, 3, ACTIONS)
    transition, reward = mdp.transition.copy(), mdp.reward.copy()
    transition[2], reward[2] = np.eye(3)[2], 0
    observation = [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]
    return TabularPOMDP(TabularMDP(transition, reward, [0.6, 0.4, 0], DISCOUNT, horizon=3), observation)


@pytest.mark.parametrize(
    ("memory", "estimator"),
    [
        ("gru", LikelihoodRatio(DISCOUNT, MonteCarlo(DISCOUNT))),
        ("lstm", LikelihoodRatio(DISCOUNT, WholeReturn(DISCOUNT))),
        ("gru", VarianceOptimal(DISCOUNT)),
    ],
    ids=["to go", "whole return", "variance-optimal"],
)
def test_estimators_of_whole_episodes(ending, memory, estimator):
    policy = recurrent(memory)
    found = steepest.estimate_gradient(policy, ending.as_env(), estimator, jax.random.key(1), episodes=4000, repeats=60)
    gradients = np.asarray(jax.vmap(lambda each: ravel_pytree(each)[0])(found.gradients))
    check_mean(gradients, ending.policy_gradient(policy), [forgetful(ending, policy)])


class ExactValue(AbstractStateValue):
    """V of all observations so far, from tables; its memory is the number of that history, and the time."""

    tables: tuple

    def initial_carry(self, num_streams):
        return jnp.zeros((num_streams, 2), jnp.int32)

    def remember(self, carry, obs):
        return jnp.stack([carry[:, 0] * OBSERVATIONS + obs, carry[:, 1] + 1], axis=1)

    def __call__(self, obs):
        def step(carry, seen):
            carry = self.remember(carry, seen)
            values = [table[carry[:, 0] % len(table)] for table in self.tables]
            return jnp.stack(values)[carry[:, 1] - 1, jnp.arange(len(carry))], carry

        return obs.unroll(step, self.initial_carry(obs.streams))[0]


@pytest.fixture(scope="module")
def drifting():
    """A world that goes on whatever is done in it, so that the value of a history is that of its observations."""
    mdp = random_mdp(5, 3, ACTIONS)
    transition = np.repeat(mdp.transition[:, :1], ACTIONS, axis=1)
    observation = [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]
    return TabularPOMDP(TabularMDP(transition, 3 * mdp.reward, [0.2, 0.5, 0.3], DISCOUNT, horizon=4), observation)


@pytest.mark.parametrize("gae_lambda", [0.0, 1.0])
def test_segments_with_truncations_in_the_middle_and_exact_values(drifting, gae_lambda):
    """Three episodes are cut after two of four steps, and their successors are worth V of what was seen until then."""
    policy, cut, episodes = recurrent(), 2, 3
    values = drifting.values(policy)
    tables = []
    for time in range(cut + 1):
        obs, action = drifting.histories(time)
        free = ~action.any(axis=1)  # of histories that differ in actions alone, one
        order = obs[free] @ OBSERVATIONS ** np.arange(time, -1, -1)
        table = np.zeros(OBSERVATIONS ** (time + 1), np.float32)
        table[order] = values[time][free]
        tables.append(jnp.asarray(table))
    env = drifting.as_env(cut)
    a2c = steepest.A2C(num_envs=2000, segment_length=cut * episodes, entropy_bonus=0.0, discount=DISCOUNT)
    built = dataclasses.replace(
        a2c.for_env(env, updates=1),
        networks=lambda key, spec: steepest.Networks(policy, ExactValue(tuple(tables))),
        advantage=GAE(DISCOUNT, gae_lambda),
    )
    agent = built.init(jax.random.key(0))

    @jax.jit
    def gradient(key):
        trajectory = sample(built, agent, env, start(built, env, key), jax.random.fold_in(key, 1))[1]
        found = built.evaluate(agent, trajectory).problem.gradient(policy)[0]
        return cut * ravel_pytree(found)[0]  # a mean over rows; the exact one is a sum over the rows of an episode

    gradients = np.asarray(jax.lax.map(gradient, jax.random.split(jax.random.key(2), 60)))
    how = {"discount_states": False, "steps": cut}
    check_mean(gradients, drifting.policy_gradient(policy, **how), [forgetful(drifting, policy, **how)])
