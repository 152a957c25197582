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
from steepest.advantages import GAE, ImportanceWeighted, MonteCarlo, WholeReturn
from steepest.core.errors import InputError
from steepest.core.spaces import Discrete
from steepest.critics import AbstractStateValue
from steepest.estimators import ImportanceSampled, LikelihoodRatio, VarianceOptimal
from steepest.networks import CategoricalHead, FlatEncoder, RecurrentTrunk
from steepest.oracles import TabularMDP, TabularPOMDP, random_mdp
from steepest.policies import RecurrentPolicy
from steepest.sampling.compiled import sample, start

DISCOUNT, OBSERVATIONS, ACTIONS = 0.8, 2, 2
TOLD = 4
"""Observations that tell the last action."""


def recurrent(memory="gru", seed=0, observations=OBSERVATIONS):
    """A small policy that leans on its memory."""
    key, encoder = jax.random.key(seed), FlatEncoder(Discrete(observations))
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


def shorter(pomdp, horizon):
    """The same problem with another horizon."""
    mdp = pomdp.mdp
    return TabularPOMDP(
        TabularMDP(mdp.transition, mdp.reward, mdp.initial, mdp.discount, horizon=horizon), pomdp.observation
    )


TO_GO, WHOLE = LikelihoodRatio(DISCOUNT, MonteCarlo(DISCOUNT)), LikelihoodRatio(DISCOUNT, WholeReturn(DISCOUNT))
BY_ANOTHER = ImportanceSampled(recurrent("lstm", seed=4), ImportanceWeighted(DISCOUNT, "causal"))


@pytest.mark.parametrize(
    ("memory", "estimator", "cut"),
    [
        pytest.param("gru", TO_GO, None, id="gru, to go"),
        pytest.param("lstm", TO_GO, None, id="lstm, to go"),
        pytest.param("gru", WHOLE, None, id="gru, whole return"),
        pytest.param("lstm", WHOLE, None, id="lstm, whole return"),
        pytest.param("gru", TO_GO, 2, id="gru, to go, truncated"),
        pytest.param("lstm", TO_GO, 2, id="lstm, to go, truncated"),
        pytest.param("gru", WHOLE, 2, id="gru, whole return, truncated"),
        pytest.param("lstm", WHOLE, 2, id="lstm, whole return, truncated"),
        pytest.param("gru", VarianceOptimal(DISCOUNT), None, id="variance-optimal"),
        pytest.param("gru", BY_ANOTHER, None, id="of another's episodes"),
    ],
)
def test_estimators_of_whole_episodes(ending, memory, estimator, cut):
    """Episodes that are truncated after two of three steps are those of the problem that lasts two."""
    policy, exact = recurrent(memory), ending if cut is None else shorter(ending, cut)
    found = steepest.estimate_gradient(
        policy, ending, estimator, jax.random.key(1), episodes=4000, repeats=60, max_episode_steps=cut
    )
    gradients = np.asarray(jax.vmap(lambda each: ravel_pytree(each)[0])(found.gradients))
    check_mean(gradients, exact.policy_gradient(policy), [forgetful(exact, policy)])


class ExactValue(AbstractStateValue):
    """V of all observations so far, from tables; its memory is the number of that history, and the time."""

    tables: tuple

    def initial_carry(self, num_streams):
        return jnp.zeros((num_streams, 2), jnp.int32)

    def remember(self, carry, obs):
        return jnp.stack([carry[:, 0] * TOLD + obs, carry[:, 1] + 1], axis=1)

    def __call__(self, obs):
        def step(carry, seen):
            carry = self.remember(carry, seen)
            values = [table[carry[:, 0] % len(table)] for table in self.tables]
            return jnp.stack(values)[carry[:, 1] - 1, jnp.arange(len(carry))], carry

        return obs.unroll(step, self.initial_carry(obs.streams))[0]


@pytest.fixture(scope="module")
def telling():
    """A world whose observations tell the last action, 2 · sign + action: so they alone are the history."""
    mdp = random_mdp(5, 2, ACTIONS)
    transition, reward = np.zeros((2, ACTIONS, ACTIONS, 2, ACTIONS)), np.zeros((2, ACTIONS, ACTIONS))
    for action in range(ACTIONS):  # states are pairs: where it is, and what was done last
        transition[:, :, action, :, action] = mdp.transition[:, None, action]
        reward[:, :, action] = mdp.reward[:, None, action]
    initial = [0.3, 0.0, 0.7, 0.0]
    pairs = TabularMDP(transition.reshape(4, ACTIONS, 4), reward.reshape(4, ACTIONS), initial, DISCOUNT, horizon=3)
    sign = np.array([[0.9, 0.1], [0.2, 0.8]])
    return TabularPOMDP(pairs, np.kron(sign, np.eye(ACTIONS)))


def values_by_observations(pomdp, policy, steps):
    """Tables of V of histories, in the order of the numbers that their observations make."""
    tables = []
    for time, values in enumerate(pomdp.values(policy)[:steps]):
        obs, action = pomdp.histories(time)
        told = (obs[:, 1:] % ACTIONS == action).all(axis=1) & (obs[:, 0] % ACTIONS == 0)
        table = np.zeros(TOLD ** (time + 1), np.float32)
        table[obs[told] @ TOLD ** np.arange(time, -1, -1)] = values[told]
        tables.append(jnp.asarray(table))
    return tuple(tables)


@pytest.mark.parametrize("gae_lambda", [0.0, 1.0])
def test_segments_with_truncations_in_the_middle_and_exact_values(telling, gae_lambda):
    """Three episodes are cut after two of three steps, and their successors are worth V of what was seen until then."""
    policy, cut, episodes = recurrent(observations=TOLD), 2, 3
    critic = ExactValue(values_by_observations(telling, policy, cut + 1))
    env = telling.as_env(cut)
    a2c = steepest.A2C(num_envs=2000, segment_length=cut * episodes, entropy_bonus=0.0, discount=DISCOUNT)
    built = dataclasses.replace(
        a2c.for_env(env, updates=1),
        networks=lambda key, spec: steepest.Networks(policy, critic),
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
    check_mean(gradients, telling.policy_gradient(policy, **how), [forgetful(telling, policy, **how)])


def test_an_oracle_of_states_refuses_a_policy_of_histories(ending):
    with pytest.raises(InputError, match=r"policy has memory, .* Ask TabularPOMDP, which knows those of histories"):
        ending.mdp.policy_gradient(recurrent(observations=3))
