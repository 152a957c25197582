"""EnvPool's environments from inside steepest: ends and new beginnings, order, seeds, faults, and no noise."""

import gc
import pathlib
import sys

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.core.errors import EnvironmentFault, InputError
from steepest.core.finiteness import Finite, UpdateInfo
from steepest.core.interfaces import AbstractAlgorithm, RolloutSpec
from steepest.core.spaces import Box, Discrete, Spec, leaves
from steepest.envs.adapters import envpool as adapter
from steepest.sampling.host import HostStreams
from steepest.training.evaluation import evaluate_host

envpool = pytest.importorskip("envpool")

EnvPoolEnvironment = adapter.EnvPoolEnvironment
KEY = jax.random.key(3)


class Scripted(AbstractAlgorithm):
    """Acts on what it observes: with the sign of the last component, or at `noise` times random."""

    spec: Spec = eqx.field(static=True)
    rollout: RolloutSpec = eqx.field(static=True)
    noise: float = eqx.field(static=True, default=0.0)

    def init(self, key):
        return jnp.zeros(())

    def act(self, key, agent, carry, obs):
        space = self.spec.action
        number = obs[:, -1] + self.noise * jax.random.normal(key, (obs.shape[0],))
        if isinstance(space, Discrete):
            return (number > 0).astype(jnp.int32), number, carry
        return jnp.broadcast_to(jnp.sin(9 * number)[:, None], (obs.shape[0], *space.shape)) * 1.5, number, carry

    def act_deterministic(self, agent, carry, obs):
        return self.act(KEY, agent, carry, obs)[0], carry

    def update(self, key, agent, trajectory):
        return agent, UpdateInfo({}, Finite.of(reward=trajectory.reward))


def streams(groups, feed, noise=0.0):
    total = sum(group.num_envs for group in groups)
    spec = Spec(groups[0].observation_space, groups[0].action_space, total, total_updates=1)
    return HostStreams(Scripted(spec, feed, noise), groups)


def pools(name, num_envs, seeds):
    return [EnvPoolEnvironment(name, num_envs=num_envs, seed=seed) for seed in seeds]


def sampled(name, seeds, *, num_envs=3, length=60, samples=2, noise=3.0):
    """Several trajectories laid one after the other."""
    sampler = streams(pools(name, num_envs, seeds), RolloutSpec(length), noise)
    parts = [sampler.sample(jnp.zeros(()), jax.random.fold_in(KEY, index))[0] for index in range(samples)]
    sampler.close()
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def ends(trajectory):
    return trajectory.terminated | trajectory.truncated


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_every_valid_row_is_what_gymnasium_would_have_done():
    """The last rows of episodes too: their successor is the fallen pole, not the next one."""
    trajectory = sampled("CartPole-v1", (4,), samples=3)
    reference = gymnasium.make("CartPole-v1").unwrapped
    reference.reset()
    for time, stream in np.argwhere(trajectory.valid):
        reference.state = trajectory.obs[time, stream].astype(np.float64)
        reference.steps_beyond_terminated = None
        expected, reward, terminated, _, _ = reference.step(int(trajectory.action[time, stream]))
        np.testing.assert_allclose(trajectory.next_obs[time, stream], expected, atol=1e-5)
        assert trajectory.reward[time, stream] == reward
        assert trajectory.terminated[time, stream] == terminated
    assert not trajectory.truncated.any()
    assert ends(trajectory).sum() > 10


def test_the_row_after_an_end_is_not_valid_and_all_others_are():
    trajectory = sampled("CartPole-v1", (4,), samples=3)
    after = np.concatenate([np.zeros((1, 3), bool), ends(trajectory)[:-1]])
    np.testing.assert_array_equal(trajectory.valid, ~after)
    # Rows follow each other, and the lost one leads from the end of an episode to the beginning of the next.
    np.testing.assert_array_equal(trajectory.next_obs[:-1], trajectory.obs[1:])
    beginnings = trajectory.next_obs[after]
    assert np.abs(beginnings).max() <= 0.05
    np.testing.assert_array_equal(trajectory.reward[after], 0)


def test_a_time_limit_truncates_and_does_not_terminate():
    trajectory = sampled("Pendulum-v1", (4,), length=450, samples=1)
    assert not trajectory.terminated.any()
    np.testing.assert_array_equal(np.argwhere(trajectory.truncated[:, 0]).ravel(), [199, 400])
    np.testing.assert_array_equal(np.argwhere(~trajectory.valid[:, 0]).ravel(), [200, 401])


def test_a_time_limit_holds_where_the_pool_has_no_clock():
    """CliffWalking's pool takes a limit and does not keep it: upwards from the start for ever."""
    env = EnvPoolEnvironment("CliffWalking-v1", num_envs=3, seed=0, max_episode_steps=4)
    assert env.reset().tolist() == [36] * 3
    for time in range(1, 10):
        env.send(np.array([0, 0, 1 if time == 1 else 0]))  # the last one falls from the cliff and walks on
        step = env.receive()
        over = time % 4 == 0
        assert step.truncated.tolist() == [over] * 3
        assert not step.terminated.any()
        assert step.valid.all()
        assert step.next_obs[0] == [24, 12, 0, 0][(time - 1) % 4]
        assert step.obs[0] == (36 if over else step.next_obs[0])
    env.close()


def test_mujoco_is_what_it_says():
    env = EnvPoolEnvironment("HalfCheetah-v5", num_envs=2, seed=0)
    assert env.observation_space == Box(-np.inf, np.inf, (17,))
    assert env.action_space == Box(-1.0, 1.0, (6,))
    assert (env.max_episode_steps, env.num_envs, env.library) == (1000, 2, f"envpool {envpool.__version__}")
    sampler = streams([env], RolloutSpec(1001))
    trajectory, episodes = sampler.sample(jnp.zeros(()), KEY)
    assert trajectory.obs.dtype == trajectory.reward.dtype == np.float32
    np.testing.assert_array_equal(trajectory.truncated, np.broadcast_to(np.arange(1001)[:, None] == 999, (1001, 2)))
    np.testing.assert_array_equal(trajectory.valid, np.broadcast_to(np.arange(1001)[:, None] != 1000, (1001, 2)))
    assert not trajectory.terminated.any()
    np.testing.assert_allclose([total for total, _ in episodes], trajectory.reward[:1000].sum(axis=0), rtol=1e-4)
    assert [length for _, length in episodes] == [1000, 1000]


def test_actions_are_clipped_here_and_kept_raw_in_the_trajectory():
    """The pendulum's reward holds 0.001 u², so it tells which torque was applied."""
    env = EnvPoolEnvironment("Pendulum-v1", num_envs=2, seed=1)
    before = env.reset()
    torque = np.array([[7.0], [-2.0]], np.float32)
    env.send(torque)
    reward = env.receive().reward
    angle = np.arctan2(before[:, 1], before[:, 0])
    np.testing.assert_allclose(reward, -(angle**2 + 0.1 * before[:, 2] ** 2 + 0.001 * 2.0**2), rtol=1e-5)
    np.testing.assert_array_equal(torque, [[7.0], [-2.0]])
    trajectory = sampled("HalfCheetah-v5", (1,), length=20)
    assert np.abs(trajectory.action).max() > 1


@pytest.mark.parametrize("name", ["CartPole-v1", "HalfCheetah-v5"])
def test_seeds_decide_everything(name):
    first, again, other = (sampled(name, seeds) for seeds in ((1, 2), (1, 2), (8, 9)))
    assert same(first, again)
    assert not same(first, other)
    # No two environments begin alike, in one pool or in two with neighbouring seeds.
    beginnings = np.concatenate([first.obs[0], other.obs[0]])
    assert len(np.unique(beginnings, axis=0)) == len(beginnings)


def test_a_seed_may_be_any_that_a_generator_gives():
    assert EnvPoolEnvironment("CartPole-v1", num_envs=1, seed=2**32 - 1).reset().shape == (1, 4)


def test_two_pools_served_in_turn_give_what_each_gives_alone():
    both = sampled("CartPole-v1", (1, 2), noise=0.0)
    alone = [sampled("CartPole-v1", (seed,), noise=0.0) for seed in (1, 2)]
    assert same(both, jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *alone))


def test_environments_keep_their_order():
    """Each answers to its own action, though the threads of the pool finish in any order."""
    env = EnvPoolEnvironment("Pendulum-v1", num_envs=8, seed=1, threads=2)
    reference = gymnasium.make("Pendulum-v1").unwrapped
    reference.reset()
    obs = env.reset()
    for time in range(50):
        action = np.linspace(-2, 2, 8, dtype=np.float32)[:, None] * np.cos(time)
        env.send(action)
        step = env.receive()
        for index in range(8):
            reference.state = np.array([np.arctan2(obs[index, 1], obs[index, 0]), obs[index, 2]])
            expected = reference.step(action[index])[0]
            np.testing.assert_allclose(step.next_obs[index], expected, atol=1e-4)
        obs = step.obs


def test_whole_episodes_begin_anew_at_every_sample():
    sampler = streams(pools("CartPole-v1", 3, (1, 2)), RolloutSpec(None, whole_episodes=True), 3.0)
    beginnings = []
    for index in range(3):
        trajectory, episodes = sampler.sample(jnp.zeros(()), jax.random.fold_in(KEY, index))
        rows, count = trajectory.valid.shape
        assert (rows in (64, 256, 500), count) == (True, 6)
        lengths = trajectory.valid.sum(axis=0)
        np.testing.assert_array_equal(trajectory.valid, np.arange(rows)[:, None] < lengths)
        np.testing.assert_array_equal(lengths, np.argmax(trajectory.terminated, axis=0) + 1)
        assert sorted(length for _, length in episodes) == sorted(lengths)
        assert np.abs(trajectory.obs[0]).max() <= 0.05
        beginnings.append(trajectory.obs[0])
    beginnings = np.concatenate(beginnings)
    assert len(np.unique(beginnings, axis=0)) == 18


def test_a_reset_in_the_middle_leaves_nothing_behind():
    env = EnvPoolEnvironment("CartPole-v1", num_envs=1, seed=1)
    env.reset()
    for _ in range(500):
        env.send(np.ones(1, np.int32))
        if env.receive().terminated[0]:
            break
    env.reset()
    env.send(np.ones(1, np.int32))
    step = env.receive()
    assert step.valid[0]
    assert step.reward[0] == 1


def test_closing_ends_the_threads_of_the_pool():
    threads = pathlib.Path("/proc/self/task")
    if not threads.exists():
        pytest.skip("only Linux tells which threads a process has")
    gc.collect()  # pools of other tests
    before = len(list(threads.iterdir()))
    env = EnvPoolEnvironment("CartPole-v1", num_envs=4, seed=0, threads=3)
    env.reset()
    assert len(list(threads.iterdir())) >= before + 3
    env.close()
    env.close()
    assert len(list(threads.iterdir())) <= before


def test_evaluation_counts_whole_episodes():
    (env,) = pools("CartPole-v1", 4, (1,))
    algorithm = Scripted(Spec(env.observation_space, env.action_space, 4, 1), RolloutSpec(1))
    returns = evaluate_host(algorithm, env, jnp.zeros(()), KEY, episodes=6).returns
    assert returns.shape == (6,)
    assert np.all(returns >= 8)  # nothing falls faster


@pytest.mark.parametrize(
    ("name", "observation", "action", "limit"),
    [
        ("FrozenLake-v1", Discrete(16), Discrete(4), 100),
        ("Catch-v0", Box(0.0, 1.0, (10, 5)), Discrete(3), None),  # EnvPool says 2³¹ − 1
    ],
)
def test_spaces_and_time_limits(name, observation, action, limit):
    env = EnvPoolEnvironment(name, num_envs=2, seed=0)
    assert (env.observation_space, env.action_space, env.max_episode_steps) == (observation, action, limit)
    assert env.reset().shape == (2, *observation.shape)
    env.send(np.zeros(2, np.int32))
    assert env.receive().obs.dtype == observation.dtype


# What cannot work


def test_an_id_that_envpool_lacks_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"^unknown .* 'HalfChetah-v5'; did you mean 'HalfCheetah-v5'"):
        EnvPoolEnvironment("HalfChetah-v5", num_envs=1, seed=0)


def test_without_envpool_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "envpool", None)
    assert adapter.known_ids() == []
    assert not adapter.available("CartPole-v1")
    with pytest.raises(InputError, match=r"'envpool', which is not installed. Run: pip install 'steepest\[envpool\]'"):
        EnvPoolEnvironment("CartPole-v1", num_envs=1, seed=0)


def test_a_pool_that_cannot_be_made_is_at_fault(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no such file")

    monkeypatch.setattr(envpool, "make_gymnasium", fails)
    with pytest.raises(EnvironmentFault, match="CartPole-v1 could not be made: RuntimeError: no such file") as caught:
        EnvPoolEnvironment("CartPole-v1", num_envs=1, seed=0)
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, np.nan, r"^CartPole-v1: observation\[2\] of environment 1 is nan"),
        (1, np.inf, "^CartPole-v1: the reward of environment 1 is inf"),
    ],
)
def test_what_is_not_finite_is_the_fault_of_the_environment(monkeypatch, place, value, message):
    env = EnvPoolEnvironment("CartPole-v1", num_envs=2, seed=0)
    env.reset()
    receive = env._pool.recv

    def broken():
        answer = receive()
        answer[place][(1, 2) if place == 0 else 1] = value
        return answer

    monkeypatch.setattr(env._pool, "recv", broken)
    env.send(np.zeros(2, np.int32))
    with pytest.raises(EnvironmentFault, match=message):
        env.receive()


# No noise. Every warning is an error in these tests.


@pytest.mark.parametrize("name", ["Pendulum-v1", "CartPole-v1", "MountainCarContinuous-v0", "HalfCheetah-v5"])
def test_making_a_pool_says_nothing(name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    EnvPoolEnvironment(name, num_envs=2, seed=0).reset()
    output = capfd.readouterr()
    assert (output.out, output.err) == ("", "")
    assert not list(tmp_path.iterdir())


def test_a_pool_that_raises_is_told_as_a_fault_of_the_environment(monkeypatch):
    env = EnvPoolEnvironment("CartPole-v1", num_envs=2, seed=0)
    env.reset()
    with pytest.raises(EnvironmentFault, match=r"^CartPole-v1 raised \w+: .*Correct the environment"):
        env.send(np.zeros((3, 7), np.int32))
    env.close()


def test_observations_are_trees_where_the_pool_has_dictionaries():
    env = EnvPoolEnvironment("BabyAI-GoToObj-v0", num_envs=2, seed=0)  # of which EnvPool says that its time limit is 0
    assert env.max_episode_steps is None
    assert [name for name, _ in leaves(env.observation_space)] == ["['direction']", "['image']", "['mission']"]
    env.reset()
    env.send(np.zeros(2, np.int32))
    step = env.receive()
    assert (step.obs["image"].shape, step.obs["image"].dtype) == ((2, 7, 7, 3), np.uint8)
    assert step.next_obs["direction"].shape == (2,)
