"""Masks in everything that an algorithm does: acting, learning, exploring, playing without noise."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Gates

import steepest
from steepest.core.errors import EnvironmentFault, InputError
from steepest.core.spaces import Discrete, MaskedObservation, Spec
from steepest.critics import TabularActionValue, deterministic_target, expected_target
from steepest.envs.with_mask import WithMask
from steepest.policies import TabularPolicy
from steepest.policies.behaviour import Uniform
from steepest.runs import checkpoints
from steepest.sampling.compiled import sample, start
from steepest.training.compiled import CompiledTraining
from steepest.training.evaluation import evaluate_compiled

ENV = WithMask(Gates())
KEY = jax.random.key(0)
SHORT = {"num_envs": 4, "segment_length": 16}
PASSES = SHORT | {"epochs": 2, "minibatch_size": 32, "entropy_bonus": 0.1}
WHOLE = {"num_envs": 4}
REPLAY = {"num_envs": 4, "segment_length": 4, "batch_size": 16, "capacity": 64, "hidden": (4,)}
UPDATES = {
    "ppo": steepest.PPO(**PASSES),
    "ppo of a memory": steepest.PPO(**PASSES, memory="gru", memory_size=4, hidden=(4,)),
    "ppo with a share of uniform choices": steepest.PPO(**PASSES, hidden=(4,), shared_network=True),
    "ppo_penalty": steepest.PPOPenalty(**PASSES),
    "trpo": steepest.TRPO(**SHORT, hidden=(4,)),
    "trpo of a memory": steepest.TRPO(**SHORT, memory="lstm", memory_size=4, hidden=(4,)),
    "npg": steepest.NPG(**SHORT, policy="tabular"),
    "a2c": steepest.A2C(**SHORT, entropy_bonus=0.1),
    "reinforce": steepest.Reinforce(**WHOLE, policy="tabular"),
    "off_policy_actor_critic": steepest.OffPolicyActorCritic(**REPLAY, warm_up_steps=16),
    "off_pac": steepest.OffPAC(**REPLAY, warm_up_steps=16),
}


def columns(policy):
    """What belongs to each action: logits of a table, or weights and biases of the last layer, [_, 4]."""
    if isinstance(policy, TabularPolicy):
        return policy.logits
    last = policy.network if hasattr(policy, "network") else policy.policy_output
    return jnp.concatenate([last.weights[-1].reshape(-1, 4), last.biases[-1][None]])


def updated(algorithm, env, updates=3):
    """The agent before and after some updates, and what was sampled and told in the last."""

    @jax.jit
    def once(agent, streams, key):
        streams, rows, _ = sample(algorithm, agent, env, streams, key)
        after, info = algorithm.update(key, agent, rows)
        return algorithm.keep_if_finite(after, agent, info.finite.first_bad < 0), streams, rows, info

    before = agent = algorithm.init(KEY)
    streams = start(algorithm, env, KEY)
    for index in range(updates):
        agent, streams, rows, info = once(agent, streams, jax.random.fold_in(KEY, index))
    return before, agent, rows, info


@pytest.mark.parametrize("name", UPDATES)
def test_what_is_never_allowed_is_never_done_and_never_learnt_of(name):
    algorithm = UPDATES[name].for_env(ENV, updates=3)
    before, after, rows, info = updated(algorithm, ENV)
    assert info.finite.names[0] == "action_mask[0]"
    assert bool(jnp.all(info.finite.flags))
    assert float(jnp.min(jnp.where(rows.valid, rows.reward, 0))) >= 0
    ended = np.asarray(rows.terminated & rows.valid)
    assert ended.any()
    assert np.asarray(rows.next_obs.mask)[ended].all()
    old, new = np.asarray(columns(before.policy)), np.asarray(columns(after.policy))
    assert (old[:, :3] != new[:, :3]).any()
    np.testing.assert_array_equal(old[:, 3], new[:, 3])
    evaluated = [evaluate_compiled(algorithm, ENV, after, KEY, episodes=16, stochastic=how) for how in (False, True)]
    for played in evaluated:
        assert float(jnp.min(played.returns)) >= 0
        assert not bool(jnp.any(played.stuck))


@pytest.mark.parametrize("name", ["ppo", "off_policy_actor_critic"])
def test_a_compiled_environment_without_an_allowed_action_is_refused_by_name(name):
    env = WithMask(Gates(stuck_at=2.0))
    algorithm = UPDATES[name].for_env(env, updates=3)
    before, after, rows, info = updated(algorithm, env, updates=2)
    assert info.finite.names[int(info.finite.first_bad)].startswith("action_mask[")
    jax.tree.map(np.testing.assert_array_equal, before.policy, after.policy)
    stuck = ~np.asarray(rows.obs.mask).any(axis=-1)
    assert stuck.any() or not np.asarray(rows.next_obs.mask).any(axis=-1).all()
    assert np.isnan(np.asarray(rows.reward)[stuck]).all()
    assert np.isfinite(np.asarray(rows.reward)[~stuck]).all()
    assert bool(jnp.any(evaluate_compiled(algorithm, env, after, KEY, episodes=16).stuck))


def test_the_driver_says_which_environment_and_where():
    env = WithMask(Gates(stuck_at=2.0))
    training = CompiledTraining(UPDATES["ppo"].for_env(env, updates=3), env, seeds=(5,), total_steps=192)
    wanted = (
        r"^Gates: the action mask of environment \d allows no action, in update 1 \(step 64\) of seed 5\. Correct the "
        r"environment: a state in which nothing can be done ends the episode\.$"
    )
    with pytest.raises(EnvironmentFault, match=wanted):
        training.advance(1.0)


def test_an_evaluation_says_which_environment_too():
    env = Gates()
    result = steepest.train(UPDATES["ppo"], env, total_steps=64, evaluation_episodes=2)
    assert result.evaluation is not None
    from steepest.envs.tasks import resolve
    from steepest.experiments.evaluating import evaluate_agent

    task = resolve(Gates(stuck_at=3.0))
    wanted = r"^Gates: the action mask of environment \d+ allows no action, in an evaluation of seed 0\. Correct"
    with pytest.raises(EnvironmentFault, match=wanted):
        evaluate_agent(result.algorithm, task, result.agents[0], 0, episodes=16)
    # A trained policy says what it was given, and refuses the same.
    policy = result.policy
    assert int(policy({"observation": 0, "action_mask": [False, False, True, False]})) == 2
    value = policy.value({"observation": [0, 1, 2, 0], "action_mask": np.ones((4, 4), bool)})
    assert value.shape == (4,)
    with pytest.raises(InputError, match=r"^obs\.mask allows no action in row 1 of the batch\. Give a mask"):
        policy({"observation": [0, 1], "action_mask": [[True] * 4, [False] * 4]})
    with pytest.raises(InputError, match=r"^obs is a int; an observation is Discrete.* with a mask"):
        policy(0)


def test_targets_of_critics_keep_to_what_the_successor_allows():
    """C4 with masks: an expectation, or a mode, of what is allowed in s′."""
    table = jnp.array([[1.0, 5.0, 100.0], [2.0, 4.0, 1000.0]])
    policy = TabularPolicy(jnp.array([[0.0, 0.0, 9.0], [0.0, 0.0, 9.0]]))
    mask = jnp.array([[True, True, False], [False, True, False]])
    successor = jnp.ones(2), MaskedObservation(jnp.arange(2), mask), jnp.zeros(2, bool)
    found = expected_target(KEY, TabularActionValue(table), policy, *successor, discount=0.5)
    np.testing.assert_allclose(found, [1 + 0.5 * 3, 1 + 0.5 * 4], rtol=1e-6)
    drawn = expected_target(KEY, TabularActionValue(table), policy, *successor, discount=0.5, sampled=True)
    assert float(jnp.max(drawn)) <= 1 + 0.5 * 5
    best = deterministic_target(TabularActionValue(table), policy, *successor, discount=0.5)
    np.testing.assert_allclose(best, [1 + 0.5 * 1, 1 + 0.5 * 4], rtol=1e-6)


def test_exploring_keeps_to_what_is_allowed():
    spec = Spec(ENV.observation_space, ENV.action_space, num_envs=2000, total_updates=1)
    mask = jnp.tile(jnp.array([True, False, True, False]), (2000, 1))
    obs = MaskedObservation(jnp.zeros(2000, jnp.int32), mask)
    some = TabularPolicy.initial(spec, uniform_share=0.5)
    certain = dataclasses.replace(some, logits=some.logits.at[:, 1].set(50.0).at[:, 0].set(20.0))
    distribution = certain(obs)
    action = distribution.sample(KEY)
    assert set(np.asarray(action)) == {0, 2}
    np.testing.assert_allclose(jnp.mean(action == 2), 0.25, atol=0.04)  # half of a half is spread over two
    action, log_prob, _ = Uniform(Discrete(4)).act(KEY, (), distribution, obs)
    assert set(np.asarray(action)) == {0, 2}
    np.testing.assert_allclose(log_prob, -np.log(2), rtol=1e-5)


def test_a_resumed_run_with_masks_and_memory_is_the_uninterrupted_one_bit_for_bit(tmp_path):
    """From a checkpoint in the middle of episodes; observations that are kept there bring their masks along."""
    algorithm = steepest.A2C(**SHORT | {"segment_length": 8}, memory="gru", memory_size=3, hidden=(4,))
    algorithm = algorithm.for_env(ENV, updates=4)
    whole, first, second = (CompiledTraining(algorithm, ENV, seeds=(3,), total_steps=128) for _ in range(3))
    while not whole.finished:
        whole.advance(0.0)
    while first.steps < 64:
        first.advance(0.0, until=64)
    state = first.states()[3]
    assert not np.asarray(state.streams.places.obs.mask).all()
    checkpoints.save(tmp_path, state, seed=3, update=2, steps=64, fingerprint="")
    found = checkpoints.newest(tmp_path, jax.eval_shape(lambda: state), seed=3, fingerprint="")
    second.restore({3: found.tree})
    while not second.finished:
        second.advance(0.0)
    jax.tree.map(np.testing.assert_array_equal, whole.agents()[3], second.agents()[3])
    jax.tree.map(np.testing.assert_array_equal, whole.states()[3].streams.places, second.states()[3].streams.places)
