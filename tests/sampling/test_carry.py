"""What acting carries from step to step: begun anew with every episode, carried on over segments, and written down."""

import dataclasses

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vector_environment import BEGINNINGS

import steepest
from steepest.core.finiteness import Finite, UpdateInfo
from steepest.core.histories import Histories
from steepest.core.interfaces import AbstractAlgorithm, RolloutSpec
from steepest.core.spaces import Box, Discrete, Spec
from steepest.diagnostics.rollouts import CompiledRollouts
from steepest.envs.adapters.separate import SeparateEnvironments
from steepest.envs.environment import AbstractEnvironment
from steepest.policies import AbstractPolicy, TabularPolicy
from steepest.sampling.compiled import fresh_starts, sample, start
from steepest.sampling.host import HostStreams
from steepest.training.evaluation import evaluate_compiled, evaluate_host

KEY = jax.random.key(0)
LENGTHS = np.array([2, 3, 5])
"""Steps of the episodes of the three streams; the first terminates, the others are truncated."""


class Clock(AbstractEnvironment):
    """Rewards the action itself. An episode lasts two, three or five steps, and only one of two terminates."""

    id = "Clock"
    max_episode_steps = 3

    @property
    def observation_space(self):
        return Box(0.0, 9.0, (1,))

    @property
    def action_space(self):
        return Box(-99.0, 99.0, (1,))

    def initial(self, key):
        return jax.random.bernoulli(key).astype(jnp.float32), jnp.zeros(())

    def observe(self, state):
        return state[0][None]

    def step(self, key, state, action):
        ends, time = state
        return (ends, time + 1), action[0], (ends > 0) & (time + 1 >= 2)


class Counting(AbstractAlgorithm):
    """Acts by the number of steps since the episode began, times ten, plus the number of the stream."""

    spec: Spec = eqx.field(static=True)
    rollout: RolloutSpec = eqx.field(static=True)

    def init(self, key):
        return jnp.zeros(())

    def initial_carry(self, spec):
        return {"time": jnp.zeros(spec.num_envs), "stream": jnp.arange(spec.num_envs, dtype=jnp.float32)}

    def act(self, key, agent, carry, obs):
        action = (10 * carry["time"] + carry["stream"])[:, None]
        return action, carry["time"], carry | {"time": carry["time"] + 1}

    def act_deterministic(self, agent, carry, obs):
        action, _, carry = self.act(KEY, agent, carry, obs)
        return action, carry

    def update(self, key, agent, trajectory):
        return agent, UpdateInfo({}, Finite.of(reward=trajectory.reward))


def counting(rollout, streams, env):
    return Counting(Spec(env.observation_space, env.action_space, streams, 1, env.max_episode_steps), rollout)


def expected_times(terminated, truncated, valid, start):
    """Steps since the episode began, by the ends that the trajectory itself tells."""
    times, now = np.zeros(terminated.shape), np.array(start, float)
    for step in range(len(times)):
        times[step] = now
        now = np.where(terminated[step] | truncated[step] | ~valid[step], 0, now + 1)
    return times, now


def check(trajectory):
    times, after = expected_times(
        np.asarray(trajectory.terminated),
        np.asarray(trajectory.truncated),
        np.asarray(trajectory.valid),
        trajectory.carry["time"],
    )
    np.testing.assert_array_equal(trajectory.log_prob, times)
    streams = np.arange(times.shape[1])
    np.testing.assert_array_equal(trajectory.action[..., 0], 10 * times + streams)
    np.testing.assert_array_equal(trajectory.carry["stream"], streams)
    return after


def test_compiled_segments_carry_on_and_begin_anew_with_every_episode():
    env = Clock()
    algorithm = counting(RolloutSpec(7), 6, env)
    streams, at = start(algorithm, env, KEY), np.zeros(6)
    once = jax.jit(lambda streams: sample(algorithm, algorithm.init(KEY), env, streams, KEY)[:2])
    kinds = set()
    for _ in range(3):
        streams, trajectory = once(streams)
        np.testing.assert_array_equal(trajectory.carry["time"], at)
        at = check(trajectory)
        kinds |= {
            ("terminated", bool(np.any(trajectory.terminated))),
            ("truncated", bool(np.any(trajectory.truncated))),
        }
    assert {("terminated", True), ("truncated", True)} <= kinds
    assert at.any()  # some segment ended within an episode


def test_whole_episodes_begin_with_the_first_carry():
    env = Clock()
    algorithm = counting(RolloutSpec(None, whole_episodes=True), 4, env)
    streams = start(algorithm, env, KEY)
    for _ in range(2):
        streams, trajectory, _ = sample(algorithm, algorithm.init(KEY), env, streams, KEY)
        assert not np.any(trajectory.carry["time"])
        np.testing.assert_array_equal(trajectory.log_prob[0], 0)
        np.testing.assert_array_equal(trajectory.log_prob[1], 1)


class Host(gymnasium.Env):
    """An episode of a length of its own, which terminates or is truncated; the reward is the action."""

    observation_space = gymnasium.spaces.Box(0, 9, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-99, 99, (1,), np.float32)

    def __init__(self, index=0):
        self.index = index

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.time += 1
        over = self.time == LENGTHS[self.index % 3]
        return np.zeros(1, np.float32), float(action[0]), over and self.index % 3 == 0, over and self.index % 3 > 0, {}


def served(indices, kind=SeparateEnvironments):
    return kind([Host(index) for index in indices], name="Host", seed=0)


@pytest.mark.parametrize("kind", BEGINNINGS)
@pytest.mark.parametrize("groups", [1, 2])
def test_on_the_host_every_group_has_its_own_and_the_rows_of_a_reset_leave_nothing(kind, groups):
    parts = np.array_split(np.arange(6), groups)
    members = [served(part, kind) for part in parts]
    algorithm = counting(RolloutSpec(9), 6, members[0])
    streams, at = HostStreams(algorithm, members), np.zeros(6)
    for _ in range(3):
        trajectory, _ = streams.sample(algorithm.init(KEY), KEY)
        np.testing.assert_array_equal(trajectory.carry["time"], at)
        at = check(trajectory)
    assert np.any(trajectory.terminated)
    assert np.any(trajectory.truncated)


def test_evaluation_begins_every_episode_with_the_first_carry():
    """The return of an episode of n steps is the sum of ten times 0 to n − 1, and n times the stream's number."""
    host = served(range(3))
    algorithm = counting(RolloutSpec(9), 1, host)
    found = evaluate_host(algorithm, host, algorithm.init(KEY), KEY, episodes=9).returns
    expected = [5 * n * (n - 1) + n * stream for stream, n in enumerate(LENGTHS)]
    np.testing.assert_allclose(np.sort(found), np.sort(np.repeat(expected, 3)))
    env = Clock()
    actor = counting(RolloutSpec(9), 1, env)
    compiled = np.asarray(evaluate_compiled(actor, env, jnp.zeros(()), KEY, episodes=8, stochastic=True).returns)
    assert all(total in (10 + 2 * stream, 30 + 3 * stream) for stream, total in enumerate(compiled.tolist()))


class Alternating(AbstractPolicy):
    """A policy with memory: it takes the actions 0 and 1 in turn, whatever it observes."""

    logit: jax.Array

    def __call__(self, obs):
        if isinstance(obs, Histories):
            return obs.unroll(self.step, self.initial_carry(obs.streams))[0]
        return self.step(self.initial_carry(jnp.shape(obs)[0]), obs)[0]

    def initial_carry(self, num_streams):
        return jnp.zeros(num_streams, jnp.int32)

    def step(self, carry, obs):
        from steepest.core.distributions import Categorical

        logits = jnp.where(jax.nn.one_hot(carry % 2, 2) > 0, self.logit, -self.logit)
        return Categorical(logits), carry + 1


def test_a_policy_with_memory_remembers_in_training_in_rollouts_and_as_a_result():
    from worlds import Corridor

    env = Corridor()
    ppo = steepest.PPO(num_envs=4, segment_length=8, minibatch_size=32, epochs=1)

    def networks(key, spec):
        return steepest.Networks(Alternating(jnp.asarray(50.0)), None)

    built = dataclasses.replace(ppo.for_env(env, updates=1), networks=networks, critic_rule=None)
    streams, trajectory, _ = sample(built, built.init(KEY), env, start(built, env, KEY), KEY)
    ended = np.asarray(trajectory.terminated | trajectory.truncated)
    times, after = expected_times(ended, np.zeros_like(ended), np.ones_like(ended), np.zeros(4))
    np.testing.assert_array_equal(trajectory.action, times % 2)
    np.testing.assert_array_equal(streams.carry.policy, after)
    episodes = CompiledRollouts(env, 6).play(KEY, Alternating(jnp.asarray(50.0)), 5)
    valid = np.asarray(episodes.valid)
    np.testing.assert_array_equal(
        np.asarray(episodes.action)[valid], (np.arange(6)[:, None] % 2 + np.zeros((6, 5)))[valid]
    )
    result = steepest.train(built, env, total_steps=32, evaluation_episodes=0)
    assert [int(result.policy(1)) for _ in range(4)] == [0, 1, 0, 1]
    result.policy.reset()
    assert int(result.policy(1)) == 0


def test_without_memory_nothing_is_carried():
    algorithm = steepest.PPO(num_envs=2, segment_length=4, minibatch_size=8).for_env(Clock(), updates=1)
    assert jax.tree.leaves(algorithm.initial_carry(algorithm.spec)) == []
    assert jax.tree.leaves(TabularPolicy(jnp.zeros((2, 2))).initial_carry(3)) == []


class Costly(Clock):
    """A start with a number of its own."""

    reset_pool: int = eqx.field(static=True, default=0)

    @property
    def action_space(self):
        return Discrete(2)

    def initial(self, key):
        return jax.random.uniform(key), jnp.zeros(())


def test_a_pool_of_starts_is_shared_within_a_trajectory_and_fair_over_many():
    keys = jax.random.split(KEY, 20)
    each = fresh_starts(Costly(), keys, 8)
    assert len(np.unique(each.obs)) == 160
    pooled = fresh_starts(Costly(reset_pool=5), keys, 8)
    assert len(np.unique(pooled.obs)) == 5
    pool = jax.jit(lambda key: fresh_starts(Costly(reset_pool=5), jax.random.split(key, 20), 8).obs)
    many = np.concatenate([np.ravel(pool(key)) for key in jax.random.split(jax.random.key(1), 300)])
    np.testing.assert_allclose([many.mean(), many.std()], [0.5, 12**-0.5], atol=0.03)
    counts = np.unique(np.asarray(pooled.obs), return_counts=True)[1]
    assert counts.min() > 15  # 32 each on average
