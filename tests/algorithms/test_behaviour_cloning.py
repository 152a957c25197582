"""Behaviour cloning is maximum likelihood: compared with estimates in closed form, and with the score by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Match

from steepest.algorithms import BehaviourCloning
from steepest.core.demonstrations import Demonstrations
from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete, Spec
from steepest.sampling.demonstration_source import DemonstrationSource
from steepest.training.compiled import begin, fault_names, train, update_once

KEY = jax.random.key(0)
SMALL = BehaviourCloning(hidden=(8,), batch_size=16, learning_rate=1e-2, held_out=0.0)


def composed(parameters, obs, action, observation_space, action_space, updates=1):
    """The algorithm, and the source of its trajectories."""
    spec = Spec(observation_space, action_space, parameters.num_streams(observation_space, action_space), updates)
    given = Demonstrations(obs, action).checked("E", observation_space, action_space)
    return parameters.build(spec), DemonstrationSource.of(given, spec, parameters.held_out)


def trained(parameters, *data, updates):
    algorithm, source = composed(parameters, *data, updates=updates)
    state, metrics = jax.jit(lambda source: train(algorithm, source, KEY, updates=updates))(source)
    assert state.fault == -1
    return algorithm, state.agent, metrics


def test_a_table_learns_the_frequencies_of_the_demonstrated_actions():
    """Closed form: the most likely policy of a table takes each action as often as the expert did."""
    counts = np.array([[6, 2], [1, 7], [5, 3]])
    pairs = np.repeat([(s, a) for s in range(3) for a in range(2)], counts.reshape(-1), axis=0)
    parameters = dataclasses.replace(SMALL, policy="tabular", batch_size=len(pairs), learning_rate=0.1)
    _, agent, metrics = trained(parameters, pairs[:, 0], pairs[:, 1], Discrete(3), Discrete(2), updates=400)
    frequency = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(jax.nn.softmax(agent.policy.logits), frequency, atol=1e-4)
    best = (counts * np.log(frequency)).sum() / counts.sum()
    np.testing.assert_allclose(metrics["log_likelihood"][-1], best, atol=1e-5)
    np.testing.assert_allclose(metrics["objective"][-1], best, atol=1e-5)


def test_a_linear_gaussian_policy_finds_least_squares_and_the_variance_of_the_residuals():
    """Closed form: the most likely linear mean is the regression, and σ² the mean squared residual, by component."""
    generator = np.random.default_rng(0)
    obs = generator.normal(size=(60, 3)) * [1.0, 5.0, 0.2] + [0.0, 3.0, 1.0]
    slope, noise = generator.normal(size=(3, 2)), generator.normal(size=(60, 2)) * [0.3, 0.1]
    action = 0.1 * obs @ slope + 0.2 + noise
    space = Box(np.array([-2.0, -4.0]), np.array([2.0, 4.0]))
    parameters = dataclasses.replace(SMALL, hidden=(), batch_size=60, learning_rate=0.03)
    data = obs, action, Box(-np.inf, np.inf, (3,)), space
    algorithm, agent, _ = trained(parameters, *data, updates=1500)

    design = np.column_stack([obs, np.ones(60)])
    solution = np.linalg.lstsq(design, action, rcond=None)[0]
    residual = action - design @ solution
    elsewhere = jnp.asarray(generator.normal(size=(5, 3)), jnp.float32)
    mean = algorithm.act_deterministic(agent, (), elsewhere)[0]
    np.testing.assert_allclose(mean, np.column_stack([elsewhere, np.ones(5)]) @ solution, atol=2e-3)
    deviation = np.exp(agent.policy(elsewhere).log_std[0])  # the same for every observation
    np.testing.assert_allclose(deviation, np.sqrt((residual**2).mean(axis=0)), rtol=2e-3)


@pytest.mark.parametrize("kind", ["box", "multi_discrete"])
def test_the_gradient_is_the_mean_score_of_the_demonstrated_actions(kind):
    """Row by row, in a loop, from the policy's log-probability alone."""
    env = Match(kind=kind)
    obs, action = demonstrated(env, 16)
    algorithm, source = composed(SMALL, obs, action, env.observation_space, env.action_space)

    @jax.jit
    def first(source):
        agent = begin(algorithm, source, KEY).agent
        _, trajectory, _ = source.sample(algorithm, agent, source.start(KEY, algorithm), KEY)
        return agent, trajectory, algorithm.evaluate(agent, trajectory).problem.gradient(agent.policy)[0]

    agent, trajectory, found = first(source)

    def log_probability(policy, obs, action):
        return policy(agent.observations(obs)).log_prob(action)

    score = jax.jit(jax.grad(log_probability))
    scores = [
        score(agent.policy, jnp.asarray(each, jnp.float32), jnp.asarray(chosen))
        for each, chosen in zip(trajectory.obs[0], trajectory.action[0], strict=True)
    ]
    mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *scores)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), found, mean)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(found)) > 1e-2


def demonstrated(env, rows):
    """What is right in `Match`: the observation itself, or whether its components are positive."""
    obs = np.random.default_rng(1).uniform(-1, 1, (rows, 2)).astype(np.float32)
    if env.kind == "box":
        return obs, obs
    action = (obs > 0).astype(np.int32)
    return obs, action[:, 0] if env.kind == "discrete" else action


@pytest.mark.parametrize("kind", ["box", "discrete", "multi_discrete", "multi_binary"])
def test_it_learns_to_answer_in_every_action_space(kind):
    """On observations that it never saw, and the held-out likelihood tells."""
    env = Match(kind=kind)
    obs, action = demonstrated(env, 600)
    parameters = dataclasses.replace(SMALL, held_out=0.5, hidden=(16,))
    data = obs, action, env.observation_space, env.action_space
    algorithm, agent, metrics = trained(parameters, *data, updates=300)
    unseen, wanted = composed(parameters, *data)[1].held_out
    given, wanted = np.asarray(algorithm.act_deterministic(agent, (), unseen)[0]), np.asarray(wanted)
    if kind == "box":
        assert np.abs(given - wanted).mean() < 0.1
    else:
        assert (given == wanted).mean() > 0.95
    assert metrics["held_out_log_likelihood"][-1] > metrics["held_out_log_likelihood"][0] + 0.3


def test_the_options_run_and_stay_finite():
    env = Match(kind="box")
    data = *demonstrated(env, 100), env.observation_space, env.action_space
    options = {"gaussian": "squashed", "entropy_bonus": 0.1, "clip_global_norm": 1.0, "normalise_observations": False}
    _, _, metrics = trained(dataclasses.replace(SMALL, **options), *data, updates=20)
    assert all(jnp.all(jnp.isfinite(values)) for name, values in metrics.items() if name not in ("return", "length"))


def test_observations_are_normalised_by_what_is_learnt_from_once_and_for_all():
    """From the first update on, with rows that are held out left out."""
    obs = np.random.default_rng(0).normal(3.0, 2.0, (100, 2)).astype(np.float32)
    parameters = dataclasses.replace(SMALL, held_out=0.2)
    data = obs, np.zeros(100, int), Box(-np.inf, np.inf, (2,)), Discrete(2)
    algorithm, source = composed(parameters, *data)
    state = jax.jit(lambda source: begin(algorithm, source, KEY))(source)
    moments = state.agent.observations.moments
    assert source.obs.shape == (80, 2)
    np.testing.assert_allclose(moments.mean, np.mean(source.obs, axis=0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, np.var(source.obs, axis=0), rtol=1e-5)
    after, _ = jax.jit(lambda source, state: update_once(algorithm, source, state))(source, state)
    jax.tree.map(np.testing.assert_array_equal, after.agent.observations, state.agent.observations)


def test_a_step_is_a_demonstrated_transition():
    env = Match(kind="discrete")
    data = *demonstrated(env, 40), env.observation_space, env.action_space
    _, _, metrics = trained(SMALL, *data, updates=3)
    assert metrics["steps"].tolist() == [16, 32, 48]
    assert not metrics["episodes"].any()
    assert np.isnan(metrics["return"]).all()


def test_an_update_keeps_the_types_and_shapes_of_the_agent():
    env = Match(kind="box")
    algorithm, source = composed(SMALL, *demonstrated(env, 40), env.observation_space, env.action_space)
    state = jax.eval_shape(lambda key: begin(algorithm, source, key), KEY)
    after = jax.eval_shape(lambda state: update_once(algorithm, source, state)[0], state)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state
    )


def test_rates_can_be_mapped_over():
    env = Match(kind="discrete")
    data = *demonstrated(env, 40), env.observation_space, env.action_space

    def policy_after(rate):
        algorithm, source = composed(dataclasses.replace(SMALL, learning_rate=rate), *data)
        return train(algorithm, source, KEY, updates=2)[0].agent.policy

    rates = jnp.array([0.003, 0.03])
    together = jax.jit(jax.vmap(policy_after))(rates)
    for index, rate in enumerate(rates):
        alone = jax.jit(policy_after)(rate)
        jax.tree.map(
            lambda a, b, index=index: np.testing.assert_allclose(a[index], b, rtol=1e-3, atol=1e-5), together, alone
        )


def test_a_rate_that_is_too_large_is_stopped_by_name_and_the_policy_stays():
    env = Match(kind="box")
    parameters = dataclasses.replace(SMALL, learning_rate=1e38)
    data = *demonstrated(env, 40), env.observation_space, env.action_space
    algorithm, source = composed(parameters, *data)
    once = jax.jit(lambda state: update_once(algorithm, source, state)[0])
    state = begin(algorithm, source, KEY)
    for _ in range(4):
        before, state = state, once(state)
        if state.fault >= 0:
            break
    assert fault_names(algorithm, source, KEY)[int(state.fault)] in ("objective", "gradient", "policy")
    jax.tree.map(np.testing.assert_array_equal, state.agent, before.agent)


def test_a_table_needs_choices():
    env = Match(kind="box")
    data = *demonstrated(env, 4), env.observation_space, env.action_space
    algorithm, source = composed(dataclasses.replace(SMALL, policy="tabular"), *data)
    with pytest.raises(InputError, match="policy is 'tabular'; it needs a discrete"):
        begin(algorithm, source, KEY)
