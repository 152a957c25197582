"""A policy out of a run directory: its actions, what is behind them, and what it refuses."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import steepest
from steepest.core.errors import InputError
from steepest.envs.pendulum import Pendulum
from steepest.envs.tasks import resolve
from steepest.experiments.trained import TrainedPolicy, load

SMALL = {"num_envs": 4, "segment_length": 16, "minibatch_size": 32, "epochs": 1, "hidden": (8,), "preset": False}
OBS = np.array([0.01, -0.02, 0.03, 0.04])
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two seeds with a normaliser and scaled rewards, and what `steepest.train` returned for it."""
    path = tmp_path_factory.mktemp("load") / "run"
    result = steepest.train(
        "ppo", Pendulum(), total_steps=256, seed=3, seeds=2, evaluation_episodes=0, run_dir=path,
        normalise_observations=True, scale_rewards=True, **SMALL,
    )  # fmt: skip
    return path, result


def test_a_loaded_policy_is_the_one_that_was_trained(trained):
    path, result = trained
    batch = np.random.default_rng(0).normal(size=(5, 3))
    for seed in (3, 4):
        policy = load(path, seed=seed, env=Pendulum())
        np.testing.assert_array_equal(policy(batch), result.policy_of(seed)(batch))
        np.testing.assert_allclose(policy(batch)[2], policy(batch[2]), rtol=1e-5)
        np.testing.assert_array_equal(policy(batch, KEY), result.policy_of(seed)(batch, KEY))
    assert repr(policy) == (
        "<TrainedPolicy: ppo on Pendulum-v1, seed 4, 256 steps of training; Box[3] in [-8, 8] → Box[1] in [-2, 2]>"
    )
    np.testing.assert_array_equal(load(path, env=Pendulum())(batch), result.policy(batch))  # the first seed
    with pytest.raises(InputError, match=r"seed 5 is not among its seeds, \[3, 4\]"):
        load(path, seed=5, env=Pendulum())


def test_the_distribution_is_that_of_raw_observations(trained):
    path, result = trained
    policy, agent = load(path, env=Pendulum()), result.agents[3]
    obs = np.array([0.5, 1.0, -4.0])
    expected = agent.policy(agent.observations(np.float32(obs[None])))
    found = policy.distribution(obs)
    np.testing.assert_allclose(found.mean, expected.mean[0], rtol=1e-5)
    assert found.sample(KEY).shape == (1,)
    assert found.log_prob(found.mode()).shape == ()
    np.testing.assert_allclose(policy(obs), np.clip(found.mode(), -2, 2), rtol=1e-5)
    assert policy.distribution(np.stack([obs, obs])).mean.shape == (2, 1)
    np.testing.assert_allclose(policy.module(np.float32(obs[None])).mean, expected.mean, rtol=1e-5)


def test_a_value_is_in_the_unit_of_the_rewards(trained):
    """Those that were learnt from are divided by a deviation, which is far from 1 here."""
    path, result = trained
    policy, agent = load(path, env=Pendulum()), result.agents[3]
    obs = np.array([0.5, 1.0, -4.0])
    deviation = np.sqrt(agent.rewards.moments.variance)
    assert deviation > 2
    expected = deviation * agent.critic(agent.observations(np.float32(obs[None])))[0]
    np.testing.assert_allclose(policy.value(obs), expected, rtol=1e-4)
    assert policy.value(np.stack([obs] * 3)).shape == (3,)


def test_drawn_actions_differ_and_are_repeated_by_their_key(trained):
    policy = load(trained[0], env=Pendulum())
    obs = np.zeros((200, 3))
    drawn = policy(obs, KEY)
    np.testing.assert_array_equal(drawn, policy(obs, KEY))
    assert np.std(drawn) > 0.1
    assert (np.abs(drawn) <= 2).all()


@pytest.mark.parametrize(
    ("obs", "says"),
    [
        (np.zeros(2), r"obs has shape \(2,\); an observation has shape \(3,\), and a batch one axis more"),
        (np.zeros((2, 2, 3)), "obs has shape"),
        ([0.0, np.nan, 0.0], "obs holds nan; it must be finite"),
        ("up", "obs is 'up'; it must be an array of numbers"),
        ([[1.0], [1.0, 2.0]], "it must be an array of numbers"),
    ],
)
def test_what_is_no_observation_is_refused(trained, obs, says):
    with pytest.raises(InputError, match=says):
        trained[1].policy(obs)


def test_choices_are_counted_as_the_environment_counts_them():
    class Counted(gymnasium.Env):
        observation_space, action_space = gymnasium.spaces.Discrete(3, start=5), gymnasium.spaces.Discrete(2, start=-1)

    task = resolve(Counted)
    spec = steepest.Spec(task.observation_space, task.action_space, num_envs=1, total_updates=1)
    algorithm = steepest.A2C(policy="tabular", num_envs=1).build(spec)
    agent = algorithm.init(KEY)
    logits = jnp.array([[0.0, 5], [5, 0], [0, 5]])
    agent = jax.tree.map(lambda leaf: logits if leaf.shape == (3, 2) else leaf, agent)
    policy = TrainedPolicy(algorithm, agent)
    assert [int(policy(each)) for each in (5, 6, 7)] == [0, -1, 0]
    np.testing.assert_array_equal(policy(np.array([5, 6, 7])), [0, -1, 0])
    assert [int(policy.distribution(each).mode()) for each in (5, 6, 7)] == [1, 0, 1]
    with pytest.raises(InputError, match="obs is 8; its space has the choices 5 to 7"):
        policy(8)


def test_without_a_critic_of_states_there_is_no_value():
    spec = steepest.Spec(steepest.Box(-1.0, 1.0, (4,)), steepest.Box(-1.0, 1.0, (1,)), 1, 1)
    for parameters, says in (
        (steepest.Reinforce(hidden=(4,)), "no critic of states"),
        (steepest.DDPG(hidden=(4,), num_envs=1, capacity=200), r"a critic of actions, Q\(s, a\), and none of states"),
    ):
        algorithm = parameters.build(spec)
        policy = TrainedPolicy(algorithm, algorithm.init(KEY))
        with pytest.raises(InputError, match=says):
            policy.value(OBS)
        assert policy.distribution(OBS).mode().shape == (1,)


def test_memory_is_carried_asked_about_and_put_back_row_by_row():
    import dataclasses

    from sampling.test_carry import Alternating
    from worlds import Corridor

    ppo = steepest.PPO(num_envs=4, segment_length=8, minibatch_size=32, epochs=1)
    built = dataclasses.replace(
        ppo.for_env(Corridor(), updates=1),
        networks=lambda key, spec: steepest.Networks(Alternating(jnp.asarray(50.0)), None),
        critic_rule=None,
    )
    policy = TrainedPolicy(built, built.init(KEY))
    rows = np.array([1, 1])
    assert policy(rows).tolist() == [0, 0]
    assert policy.distribution(rows).mode().tolist() == [1, 1]  # asking is not acting
    policy.reset(np.array([True, False]))
    assert policy(rows).tolist() == [0, 1]
    policy.reset()
    assert policy(rows).tolist() == [0, 0]
    assert int(policy(1)) == 0  # another number of rows
