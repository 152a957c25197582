"""Sampling on the host, against environments that count: every row of a trajectory is known in advance."""

import itertools

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vector_environment import BEGINNINGS, ResetsOnNextStep

from steepest.core.errors import EnvironmentFault, InputError
from steepest.core.finiteness import Finite, UpdateInfo
from steepest.core.interfaces import AbstractAlgorithm, RolloutSpec
from steepest.core.spaces import Box, Spec
from steepest.envs.adapters.separate import SeparateEnvironments
from steepest.replay.memory import transition_bytes
from steepest.sampling.host import HostStreams, compiled_act
from steepest.training.evaluation import evaluate_host

KEY = jax.random.key(5)
LENGTHS = (3, 1, 4, 2)
"""Of the episodes that a stream plays, over and over; stream i begins with the i-th."""


def ending(stream, episode):
    """Length of an episode, and how it ends: in turn by terminating, by truncation, by both at once."""
    return LENGTHS[(stream + episode) % len(LENGTHS)], episode % 3 != 1, episode % 3 != 0


class Counting(gymnasium.Env):
    """Observes [stream, episode, time], and pays the action it gets, plus time."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gymnasium.spaces.Box(-50.0, 50.0, (1,), np.float32)

    def __init__(self, stream, length=None):
        self._stream, self._length = stream, length
        self._place = np.array([stream, -1, 0], np.float32)
        self.received, self.seeds = [], []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self._place[1] += 1
        self._place[2] = 0
        return self._place.copy(), {}

    def step(self, action):
        self.received.append(action.item())
        length, terminates, truncates = ending(self._stream, int(self._place[1]))
        self._place[2] += 1
        over, reward = self._place[2] >= (self._length or length), action.item() + float(self._place[2])
        return self._place.copy(), reward, bool(over and terminates), bool(over and truncates), {}


def story(stream, length=None):
    """What a stream should bring, transition by transition, without end."""
    for episode in itertools.count():
        own, terminates, truncates = ending(stream, episode)
        own = length or own
        for time in range(own):
            last = time == own - 1
            obs, next_obs = (stream, episode, time), (stream, episode, time + 1)
            received = np.clip(wish(np.array(obs)), -50, 50)
            yield obs, next_obs, received + time + 1, last and terminates, last and truncates


def wish(obs):
    """The action that the scripted policy takes, before clipping."""
    return 30.0 * obs[..., 1] - 20.0 * obs[..., 2] + obs[..., 0]


class Scripted(AbstractAlgorithm):
    """Acts as `wish` says, with noise of the given scale, and learns nothing."""

    spec: Spec = eqx.field(static=True)
    rollout: RolloutSpec = eqx.field(static=True)
    noise: float = eqx.field(static=True, default=0.0)

    def init(self, key):
        return {"offset": jnp.zeros(())}

    def act(self, key, agent, carry, obs):
        action = wish(obs)[:, None] + agent["offset"] + self.noise * jax.random.normal(key, (obs.shape[0], 1))
        return action, -obs[:, 2], carry

    def act_deterministic(self, agent, carry, obs):
        return wish(obs)[:, None] + agent["offset"], carry

    def update(self, key, agent, trajectory):
        return agent, UpdateInfo({}, Finite.of(reward=trajectory.reward))


def scripted(feed, num_envs, noise=0.0):
    spec = Spec(Box(-np.inf, np.inf, (3,)), Box(-50.0, 50.0, (1,)), num_envs, total_updates=1)
    return Scripted(spec, feed, noise)


def counting(streams, kind=SeparateEnvironments, length=None, limit=None, seed=0):
    """One group, and the environments in it."""
    each = [Counting(stream, length) for stream in streams]
    wrapped = each if limit is None else [gymnasium.wrappers.TimeLimit(one, limit) for one in each]
    return kind(wrapped, name="Counting", seed=seed), each


def sampled(streams, agent, samples, key=KEY):
    """Several trajectories laid one after the other, and the episodes that ended in them."""
    parts = [streams.sample(agent, jax.random.fold_in(key, index)) for index in range(samples)]
    whole = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(trajectory for trajectory, _ in parts))
    return whole, [episode for _, episodes in parts for episode in episodes]


AGENT = {"offset": jnp.zeros(())}


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_every_row_is_the_true_one_whatever_the_way_of_starting_anew(kind):
    group, environments = counting(range(4), kind)
    streams = HostStreams(scripted(RolloutSpec(11), 4), [group])
    trajectory, episodes = sampled(streams, AGENT, 3)
    assert trajectory.valid.shape == (33, 4)
    for stream in range(4):
        valid = trajectory.valid[:, stream]
        # Where the environment starts anew on the next step, and nowhere else, the row after an end is lost.
        ended = (trajectory.terminated | trajectory.truncated)[:, stream]
        lost = np.append(False, ended[:-1]) & (kind == ResetsOnNextStep)
        np.testing.assert_array_equal(valid, ~lost)
        for row, told in zip(np.flatnonzero(valid), story(stream), strict=False):
            obs, next_obs, reward, terminated, truncated = told
            np.testing.assert_array_equal(trajectory.obs[row, stream], obs)
            np.testing.assert_array_equal(trajectory.next_obs[row, stream], next_obs)
            np.testing.assert_allclose(trajectory.reward[row, stream], reward)
            assert (trajectory.terminated[row, stream], trajectory.truncated[row, stream]) == (terminated, truncated)
            np.testing.assert_allclose(trajectory.action[row, stream, 0], wish(np.array(obs)))
            np.testing.assert_allclose(trajectory.log_prob[row, stream], -obs[2])
        # The environment received the valid actions, within its bounds, and no others.
        given = trajectory.action[valid, stream, 0]
        np.testing.assert_allclose(environments[stream].received, np.clip(given, -50, 50))
    assert np.abs(trajectory.action).max() > 50
    assert sorted(episodes) == sorted(expected_episodes(trajectory.valid))


def expected_episodes(valid):
    """Returns and lengths of the episodes that end within so many valid rows of each stream."""
    for stream, rows in enumerate(valid.sum(axis=0)):
        total, length = 0.0, 0
        for _, _, reward, terminated, truncated in itertools.islice(story(stream), int(rows)):
            total, length = total + reward, length + 1
            if terminated or truncated:
                yield total, length
                total, length = 0.0, 0


def test_a_row_in_which_the_environment_starts_anew_pays_and_ends_nothing():
    group, _ = counting(range(2), ResetsOnNextStep)
    trajectory, _ = sampled(HostStreams(scripted(RolloutSpec(40), 2), [group]), AGENT, 1)
    lost = ~trajectory.valid
    assert lost.any()
    assert not np.any((trajectory.terminated | trajectory.truncated)[lost])
    np.testing.assert_array_equal(trajectory.reward[lost], 0)


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_groups_served_in_turn_give_what_each_gives_alone(kind):
    together = HostStreams(scripted(RolloutSpec(9), 5), [counting([0, 1, 2], kind)[0], counting([3, 1], kind)[0]])
    both, episodes = sampled(together, AGENT, 3)
    (left, left_episodes), (right, right_episodes) = (
        sampled(HostStreams(scripted(RolloutSpec(9), len(part)), [counting(part, kind)[0]]), AGENT, 3)
        for part in ([0, 1, 2], [3, 1])
    )
    side_by_side = jax.tree.map(lambda a, b: np.concatenate([a, b], axis=1), left, right)
    jax.tree.map(np.testing.assert_array_equal, both, side_by_side)
    assert sorted(episodes) == sorted(left_episodes + right_episodes)


def test_every_call_draws_with_its_own_fold_of_the_key():
    streams = HostStreams(scripted(RolloutSpec(6), 4, noise=1.0), [counting([0, 1])[0], counting([2, 3])[0]])
    trajectory, _ = streams.sample(AGENT, KEY)
    for time, group in itertools.product(range(6), range(2)):
        columns = slice(2 * group, 2 * group + 2)
        noise = jax.random.normal(jax.random.fold_in(KEY, time * 2 + group), (2, 1))
        expected = wish(trajectory.obs[time, columns])[:, None] + noise
        np.testing.assert_allclose(trajectory.action[time, columns], expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
def test_the_sampler_draws_what_the_plain_act_draws(kind):
    algorithm = scripted(RolloutSpec(3), 2, noise=1.0)
    key = jax.random.key(11, impl=kind)
    trajectory, _ = HostStreams(algorithm, [counting([0, 1])[0]]).sample(AGENT, key)
    act = compiled_act(algorithm)
    for time in range(3):
        action, log_prob, _ = act(key, np.int32(time), AGENT, (), trajectory.obs[time])
        np.testing.assert_array_equal(trajectory.action[time], action)
        np.testing.assert_array_equal(trajectory.log_prob[time], log_prob)


def test_sampling_follows_the_agent_and_does_not_trace_it_again():
    traces = []

    class Traced(Scripted):
        def act(self, key, agent, carry, obs):
            traces.append(None)
            return super().act(key, agent, carry, obs)

    plain = scripted(RolloutSpec(4), 2)
    streams = HostStreams(Traced(plain.spec, plain.rollout), [counting([0, 1], SeparateEnvironments)[0]])
    for offset in (0.0, 7.0, -2.0):
        trajectory, _ = streams.sample({"offset": jnp.asarray(offset)}, KEY)
        np.testing.assert_allclose(trajectory.action[..., 0], wish(trajectory.obs) + offset)
    assert len(traces) == 1


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", BEGINNINGS)
def test_whole_episodes_are_one_for_each_stream_and_nothing_after_it(kind, groups):
    members = [counting(part, kind, limit=6) for part in np.array_split(range(4), groups)]
    streams = HostStreams(scripted(RolloutSpec(None, whole_episodes=True), 4), [group for group, _ in members])
    environments = [one for _, each in members for one in each]
    for _ in range(3):
        trajectory, episodes = streams.sample(AGENT, KEY)
        assert trajectory.valid.shape == (6, 4)
        assert len(episodes) == 4
        for stream in range(4):
            # Episodes that began after the wanted one are never seen, so the next sample begins with a later one.
            episode = int(trajectory.obs[0, stream, 1])
            length, terminates, truncates = ending(stream, episode)
            np.testing.assert_array_equal(trajectory.valid[:, stream], np.arange(6) < length)
            np.testing.assert_array_equal(trajectory.obs[:length, stream, 2], np.arange(length))
            np.testing.assert_array_equal(trajectory.next_obs[:length, stream, 2], np.arange(length) + 1)
            np.testing.assert_array_equal(trajectory.next_obs[:length, stream, 1], episode)
            flags = trajectory.terminated[:length, stream], trajectory.truncated[:length, stream]
            np.testing.assert_array_equal(flags[0], (np.arange(length) == length - 1) & terminates)
            np.testing.assert_array_equal(flags[1], (np.arange(length) == length - 1) & truncates)
            assert (trajectory.reward[:length, stream].sum(), length) in episodes
    # Only the first reset of all is seeded: later ones would begin the first episodes again.
    for environment in environments:
        assert environment.seeds[0] is not None
        assert not any(environment.seeds[1:])


def test_a_sample_of_whole_episodes_ends_with_its_last_one():
    """No stream goes on for the sake of a time limit that nobody reaches."""
    group, (environment,) = counting([0], limit=1000, length=2)
    streams = HostStreams(scripted(RolloutSpec(None, whole_episodes=True), 1), [group])
    streams.sample(AGENT, KEY)
    assert len(environment.received) <= 3


@pytest.mark.parametrize(("lengths", "rows"), [((2, 60), 64), ((65, 3), 256), ((300, 1), 900), ((2, 2), 64)])
def test_whole_episodes_take_rows_for_what_was_played_and_rest_once_they_have_ended(lengths, rows):
    each = [Counting(stream, length) for stream, length in enumerate(lengths)]
    group = SeparateEnvironments([gymnasium.wrappers.TimeLimit(one, 900) for one in each], name="Counting", seed=0)
    streams = HostStreams(scripted(RolloutSpec(None, whole_episodes=True), 2, noise=1.0), [group])
    trajectory, episodes = streams.sample(AGENT, KEY)
    assert trajectory.valid.shape == (rows, 2)
    assert [len(one.received) for one in each] == list(lengths)
    assert sorted(length for _, length in episodes) == sorted(lengths)
    for stream, length in enumerate(lengths):
        np.testing.assert_array_equal(trajectory.valid[:, stream], np.arange(rows) < length)
        np.testing.assert_array_equal(trajectory.obs[:length, stream, 2], np.arange(length))
        np.testing.assert_array_equal(trajectory.next_obs[:length, stream, 2], np.arange(length) + 1)
        # Every call draws with its own fold of the key, wherever the rows came to an end.
        for time in {0, length - 1}:
            noise = jax.random.normal(jax.random.fold_in(KEY, time), (2, 1))[stream]
            expected = wish(trajectory.obs[time, stream]) + noise
            np.testing.assert_allclose(trajectory.action[time, stream], expected, rtol=1e-5, atol=1e-4)


def test_episodes_longer_than_memory_is_large_are_refused_in_one_line(monkeypatch):
    monkeypatch.setattr("steepest.replay.memory.available_memory", lambda: 10_000)
    group, (environment,) = counting([0], limit=10**9, length=10**6)
    streams = HostStreams(scripted(RolloutSpec(None, whole_episodes=True), 1), [group])
    with pytest.raises(
        EnvironmentFault, match=r"^Counting: its episodes are longer than .* max_episode_steps is 256; .* ne"
    ):
        streams.sample(AGENT, KEY)
    assert len(environment.received) == 63


class Pictures(Counting):
    """Shows bytes."""

    observation_space = gymnasium.spaces.Box(0, 255, (4, 4), np.uint8)

    def step(self, action):
        _, *rest = super().step(action)
        return np.full((4, 4), 200 + self._place[2], np.uint8), *rest

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros((4, 4), np.uint8), {}


def test_pictures_stay_bytes():
    group = SeparateEnvironments([Pictures(0)], name="Pictures", seed=0)
    plain = scripted(RolloutSpec(4), 1)

    class Looking(Scripted):
        def act(self, key, agent, carry, obs):
            return jnp.zeros((1, 1)), jnp.zeros(1), carry

    spec = Spec(group.observation_space, plain.spec.action, 1, total_updates=1)
    trajectory, _ = HostStreams(Looking(spec, plain.rollout), [group]).sample(AGENT, KEY)
    assert (trajectory.obs.dtype, trajectory.next_obs.dtype) == (np.uint8, np.uint8)
    np.testing.assert_array_equal(trajectory.next_obs[:, 0, 0, 0], [201, 202, 203, 201])
    assert transition_bytes(spec) == 2 * 16 + 4 + 10


def test_an_episode_that_spans_samples_is_counted_once():
    group, _ = counting([0], SeparateEnvironments, length=5)
    streams = HostStreams(scripted(RolloutSpec(3), 1), [group])
    finished = [streams.sample(AGENT, KEY)[1] for _ in range(5)]
    assert [len(each) for each in finished] == [0, 1, 0, 1, 1]
    assert all(length == 5 for each in finished for _, length in each)


def test_trajectories_do_not_share_memory():
    streams = HostStreams(scripted(RolloutSpec(3), 2), [counting([0, 1])[0]])
    first, _ = streams.sample(AGENT, KEY)
    before = jax.tree.map(np.copy, first)
    streams.sample(AGENT, KEY)
    jax.tree.map(np.testing.assert_array_equal, first, before)


def test_without_a_time_limit_whole_episodes_are_refused():
    with pytest.raises(InputError, match="environment Counting has no time limit"):
        HostStreams(scripted(RolloutSpec(None, whole_episodes=True), 1), [counting([0])[0]])


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("kind", BEGINNINGS)
@pytest.mark.parametrize("episodes", [2, 4, 9])
def test_evaluation_plays_a_number_of_episodes_that_is_fixed_for_each_environment(kind, episodes, stochastic):
    """Stream 0 plays episodes of 1 step, stream 3 of 8: taking the first to end would take those of stream 0 only."""

    class Lasting(Counting):
        def __init__(self, stream):
            super().__init__(stream, (1, 2, 4, 8)[stream])

        def step(self, action):
            obs, _, terminated, truncated, info = super().step(action)
            return obs, 100.0 ** float(self._stream), terminated, truncated, info

    env = kind([Lasting(index) for index in range(4)], name="Lasting", seed=0)
    played = evaluate_host(scripted(RolloutSpec(1), 4), env, AGENT, KEY, episodes=episodes, stochastic=stochastic)
    quota = [episodes // 4 + (stream < episodes % 4) for stream in range(4)]
    expected = [length * 100.0**stream for stream, length in enumerate((1, 2, 4, 8)) for _ in range(quota[stream])]
    np.testing.assert_array_equal(np.sort(played.returns), np.sort(expected))
