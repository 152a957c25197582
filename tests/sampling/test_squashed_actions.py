"""Squashed policies: what is stored is what was drawn, and everyone else meets what the environment takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from served_environment import ServedEnvironment
from worlds import Match

from steepest.algorithms import DDPG, PPO, BehaviourCloning, OffPAC, OffPolicyActorCritic
from steepest.algorithms.bodies.improvement import ByRatio
from steepest.core.demonstrations import Demonstrations
from steepest.core.distributions import TanhGaussian
from steepest.core.spaces import Spec
from steepest.core.trajectory import Batch
from steepest.critics import AbstractActionValue, deterministic_target, expected_target
from steepest.diagnostics.rollouts import CompiledRollouts
from steepest.experiments.recording import _taken
from steepest.experiments.trained import WithoutNoise
from steepest.objectives import Deterministic, FreshAction
from steepest.policies import AbstractPolicy
from steepest.policies.behaviour import NoisyMode, OrnsteinUhlenbeck, Other, Uniform
from steepest.sampling.compiled import sample, start
from steepest.sampling.demonstration_source import DemonstrationSource
from steepest.sampling.host import HostStreams
from steepest.training.evaluation import evaluate_compiled, evaluate_host

KEY, ENV = jax.random.key(0), Match()
SPEC = Spec(ENV.observation_space, ENV.action_space, num_envs=64, total_updates=1, max_episode_steps=4)
WIDE = PPO(num_envs=64, segment_length=4, minibatch_size=64, hidden=(4,), gaussian="squashed", log_std=1.9)
"""σ is 6.7, so that an action in four is within 1e-7 of a bound."""


def wide(rows: int = 64) -> TanhGaussian:
    return TanhGaussian(jnp.full((rows, 2), 3.0), jnp.full((rows, 2), 1.9), [-2.0, -2.0], [2.0, 2.0])


class Always(AbstractPolicy):
    """The same distributions, whatever is observed."""

    distribution: TanhGaussian

    def __call__(self, obs):
        return self.distribution


class First(AbstractActionValue):
    """The first coordinate of the action that it is asked for."""

    def __call__(self, obs, action):
        return action[..., 0]

    def values(self, obs):
        raise NotImplementedError


def check_trajectory(algorithm, agent, trajectory):
    distribution = algorithm.distribution(agent, trajectory.obs)
    assert np.abs(trajectory.action).max() > 9  # no number below 1 is the tanh of that
    taken = np.asarray(distribution.squash(jnp.asarray(trajectory.action)))
    assert np.all(np.abs(taken) <= 2)
    np.testing.assert_allclose(trajectory.reward, -np.sum(np.square(taken - trajectory.obs), axis=-1), rtol=1e-5)
    ratio = np.exp(distribution.log_prob(jnp.asarray(trajectory.action)) - trajectory.log_prob)
    np.testing.assert_allclose(ratio, 1, rtol=0, atol=1e-5)


def test_both_samplers_store_what_was_drawn_and_play_what_is_squashed():
    algorithm = WIDE.build(SPEC)
    agent = algorithm.init(KEY)
    play = jax.jit(lambda agent, key: sample(algorithm, agent, ENV, start(algorithm, ENV, key), key)[1])
    check_trajectory(algorithm, agent, play(agent, KEY))
    streams = HostStreams(algorithm, [ServedEnvironment(ENV, num_envs=64, key=KEY)])
    check_trajectory(algorithm, agent, streams.sample(agent, KEY)[0])


def test_evaluation_and_demonstrations_take_the_squashed_mean_and_squashed_samples():
    algorithm = WIDE.build(SPEC)
    agent = algorithm.init(KEY)
    agent = jax.tree.map(lambda leaf: leaf * 1000 if leaf.ndim else leaf, agent)  # means far outside the box
    obs = jax.random.uniform(KEY, (64, 2), minval=-1.0)
    mean = algorithm.distribution(agent, obs).mean
    assert np.abs(mean).max() > 3
    best, _ = algorithm.act_deterministic(agent, (), obs)
    np.testing.assert_allclose(best, 2 * np.tanh(mean), rtol=1e-5)

    rollouts = CompiledRollouts(ENV)
    for policy in (agent.policy, WithoutNoise(agent.policy)):
        played = rollouts.play(KEY, policy, 8)
        taken = np.asarray(_taken(policy, played.obs, played.action))
        np.testing.assert_allclose(played.reward, -np.sum(np.square(taken - played.obs), axis=-1), rtol=1e-5)

    for stochastic in (False, True):
        compiled = evaluate_compiled(algorithm, ENV, agent, KEY, episodes=256, stochastic=stochastic)
        host = evaluate_host(
            algorithm, ServedEnvironment(ENV, num_envs=64, key=KEY), agent, KEY, episodes=256, stochastic=stochastic
        )
        # The bounds are 2 away from the middle: unsquashed, returns would be lower by far more than this.
        np.testing.assert_allclose(np.mean(compiled.returns), np.mean(host.returns), rtol=0.1)
        assert np.min(compiled.returns) > -4 * 2 * 9.01


def test_critics_judge_what_the_environment_takes():
    distribution, obs = wide(), jnp.zeros((64, 2))
    never, zero = jnp.zeros(64, bool), jnp.zeros(64)
    batch = Batch(obs, jnp.full((64, 2), 9.0), zero, jnp.ones(64), jnp.ones(64))
    best = 2 * np.tanh(3.0)

    policy = Always(distribution)
    for target in (
        expected_target(KEY, First(), policy, zero, obs, never, discount=1.0),
        deterministic_target(First(), policy, zero, obs, never, discount=1.0),
        FreshAction(First(), KEY, "reparameterised").of(distribution, batch)[0],
        FreshAction(First(), KEY, "score", 2)._judged(KEY, distribution, batch)[1],
    ):
        assert np.all(np.abs(target) <= 2)
    np.testing.assert_allclose(Deterministic(First()).of(distribution, batch)[0], best, rtol=1e-6)
    worth = ByRatio(actions=4).advantage(KEY, policy, First(), batch)
    assert np.all(np.abs(worth) <= 4)

    algorithm = OffPolicyActorCritic(num_envs=64, hidden=(4,), warm_up_steps=0, log_std=1.9, batch_size=64).build(SPEC)
    agent = algorithm.init(KEY)
    _, trajectory, _ = sample(algorithm, agent, ENV, start(algorithm, ENV, KEY), KEY)
    check_trajectory(algorithm, agent, trajectory)
    rows = agent.experience.ring.add(trajectory, jnp.asarray(True)).draw(KEY, 64, steps=1, discount=1.0)
    asked = algorithm._regression(KEY, agent, rows).inputs[1]
    np.testing.assert_allclose(asked, 2 * np.tanh(rows.action), rtol=1e-5)


@pytest.mark.parametrize("behaviour", ["uniform", "warm-up", "noisy", "drifting", "other"])
def test_behaviours_store_actions_of_the_policy_with_their_densities(behaviour):
    distribution, obs = wide(2000), jnp.zeros((2000, 2))
    if behaviour == "other":
        acting = OffPAC(num_envs=1, hidden=(4,), gaussian="gaussian").build(SPEC)  # does not squash
        acting_agent = acting.for_evaluation(acting.init(KEY))
        action, log_prob, _ = Other(acting, acting_agent).act(KEY, (), distribution, obs)
        plain, its_log_prob, _ = acting.act(KEY, acting_agent, (), obs)
        inside = np.all(np.abs(plain) < 1.9, axis=-1)
        np.testing.assert_allclose(2 * np.tanh(action)[inside], plain[inside], atol=1e-5)
        log_slope = np.sum(np.log(2 * (1 - np.tanh(np.asarray(action, np.float64)) ** 2)), axis=-1)
        np.testing.assert_allclose((log_prob - its_log_prob)[inside], log_slope[inside], atol=1e-3)
        squashing = WIDE.build(SPEC)  # as the learner does: handed on as it is
        agent = squashing.init(KEY)
        action, log_prob, _ = Other(squashing, agent).act(KEY, (), wide(2000), obs)
        assert np.abs(action).max() > 9
        np.testing.assert_allclose(log_prob, squashing.distribution(agent, obs).log_prob(action), atol=1e-5)
        return
    if behaviour == "warm-up":
        algorithm = OffPolicyActorCritic(num_envs=64, hidden=(4,), warm_up_steps=1000).build(SPEC)
        action, log_prob, _ = algorithm.act(KEY, algorithm.init(KEY), (), obs)
    else:
        kind = {"uniform": Uniform, "noisy": NoisyMode, "drifting": OrnsteinUhlenbeck}[behaviour](SPEC.action)
        carry = jnp.full((2000, 2), -0.5) if behaviour == "drifting" else ()
        action, log_prob, _ = kind.act(KEY, carry, distribution, obs)
    taken = np.asarray(distribution.squash(action), np.float64)
    if behaviour == "noisy":
        np.testing.assert_allclose(log_prob, distribution.log_prob(action), atol=1e-5)
        assert np.abs(action).max() > 9
    elif behaviour == "drifting":
        np.testing.assert_allclose(taken, 2 * np.tanh(3.0) - 1, rtol=1e-5)
    else:
        assert scipy.stats.kstest(taken[:, 0], scipy.stats.uniform(-2, 4).cdf).pvalue > 1e-3
        density = np.exp(np.asarray(log_prob)) / np.prod(2 * (1 - (taken / 2) ** 2), axis=-1)
        inside = np.all(np.abs(taken) < 1.99, axis=-1)
        np.testing.assert_allclose(density[inside], 1 / 16, rtol=1e-3)


def test_demonstrations_are_given_as_the_environment_takes_them():
    taken = np.array([[-1.9, 0.5], [1.0, 0.0], [2.0, -2.0]], np.float32)
    parameters = BehaviourCloning(hidden=(4,), batch_size=3, held_out=0.0, gaussian="squashed")
    algorithm = parameters.build(Spec(ENV.observation_space, ENV.action_space, 3, 1))
    given = Demonstrations(np.zeros((3, 2)), taken).checked("E", ENV.observation_space, ENV.action_space)
    source, agent = DemonstrationSource.of(given, algorithm.spec, 0.0), algorithm.init(KEY)
    _, trajectory, metrics = source.sample(algorithm, agent, source.start(KEY, algorithm), KEY)
    np.testing.assert_allclose(np.sort(2 * np.tanh(trajectory.action[0]), axis=0), np.sort(taken, axis=0), atol=1e-5)

    z = np.clip(taken.astype(np.float64) / 2, -1 + 2**-23, 1 - 2**-23)
    density = scipy.stats.norm.logpdf(np.arctanh(z)) - np.log(2 * (1 - z**2))
    np.testing.assert_allclose(metrics["log_likelihood"], density.sum(axis=1).mean(), rtol=1e-3)


def test_a_behaviour_that_squashes_is_no_trouble_for_ddpg_which_does_not():
    acting = WIDE.build(SPEC)
    agent = acting.init(KEY)
    learner = DDPG(num_envs=64, hidden=(4,)).build(SPEC)
    distribution = learner.distribution(learner.init(KEY), jnp.zeros((64, 2)))
    action, log_prob, _ = Other(acting, agent).act(KEY, (), distribution, jnp.zeros((64, 2)))
    assert np.all(np.abs(action) <= 2)
    u, its_log_prob, _ = acting.act(KEY, agent, (), jnp.zeros((64, 2)))
    known = np.all(np.abs(u) < 4, axis=-1)
    log_slope = np.sum(np.log(2 * (1 - np.tanh(np.asarray(u, np.float64)) ** 2)), axis=-1)
    np.testing.assert_allclose((its_log_prob - log_prob)[known], log_slope[known], atol=1e-2)
