"""The body that on-policy algorithms share."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Corridor, Match

from steepest.algorithms import A2C, PPO, BatchActorCritic, Reinforce
from steepest.algorithms.bodies.agent import explained_variance, state_values
from steepest.algorithms.bodies.asynchronous import copy_of, gradients
from steepest.core.given_gradient import GivenGradient
from steepest.core.problem import SampledProblem
from steepest.core.spaces import Box, Discrete, Spec
from steepest.core.trajectory import Trajectory, flatten
from steepest.critics import StateValue
from steepest.estimators import VarianceOptimal
from steepest.sampling.compiled import sample, start
from steepest.training.compiled import begin, run, run_together, update_once

KEY = jax.random.key(0)
LENGTH, STREAMS = 10, 3
SPEC = Spec(Box(-1, 1, (2,)), Discrete(2), STREAMS, 1)


@pytest.mark.parametrize("cuts", [(), ((3, 1),), ((3, 1), (7, 2), (9, 0)), ((2, 1), (5, 1))], ids=str)
def test_successors_are_worth_the_same_whether_evaluated_once_or_twice(cuts):
    """Within an episode the next row stands for the successor; after a truncation, however many, it must not."""
    trajectory = trajectory_with(cuts)
    critic = StateValue.initial(KEY, SPEC)
    counts = ~np.asarray(trajectory.terminated)
    value, next_value = state_values(critic, trajectory)
    np.testing.assert_allclose(value, critic(trajectory.obs), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(next_value[counts], critic(trajectory.next_obs)[counts], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cuts", [(), ((3, 1),), ((2, 1), (5, 1))], ids=str)
def test_a_network_with_two_heads_is_evaluated_for_both_at_once(cuts):
    """The problem has the old policy's distributions, and the advantage the values, that two passes would find."""
    trajectory = trajectory_with(cuts)
    algorithm = PPO(num_envs=STREAMS, segment_length=LENGTH, minibatch_size=LENGTH, shared_network=True).build(SPEC)
    agent = algorithm.init(KEY)
    evaluation = algorithm.evaluate(agent, trajectory)
    assert isinstance(evaluation.problem, SampledProblem)
    old, batch = evaluation.problem.old, evaluation.problem.batch
    np.testing.assert_allclose(old.logits, agent.policy(flatten(trajectory.obs)).logits, rtol=1e-5, atol=1e-6)
    value, next_value = (agent.policy.value(obs) for obs in (trajectory.obs, trajectory.next_obs))
    estimates = algorithm.advantage(trajectory, value, next_value)
    np.testing.assert_allclose(batch.value_target, flatten(estimates.value_target), rtol=1e-4, atol=1e-5)


def trajectory_with(cuts):
    """Random rows, with truncations where `cuts` says, (time, stream), and terminations elsewhere."""
    length, streams = LENGTH, STREAMS
    truncated = np.zeros((length, streams), bool)
    for cut in cuts:
        truncated[cut] = True
    terminated = np.asarray(jax.random.bernoulli(KEY, 0.2, (length, streams))) & ~truncated
    obs = jax.random.normal(KEY, (length + 1, streams, 2))
    other = jax.random.normal(jax.random.key(1), (length, streams, 2))
    ended = jnp.asarray(truncated | terminated)
    rows = jnp.zeros((length, streams))
    return Trajectory(
        obs=obs[:-1],
        action=rows.astype(jnp.int32),
        next_obs=jnp.where(ended[..., None], other, obs[1:]),
        reward=rows,
        log_prob=rows,
        terminated=jnp.asarray(terminated),
        truncated=jnp.asarray(truncated),
        valid=jnp.ones((length, streams), bool),
    )


def test_explained_variance_is_1_for_a_perfect_critic_and_0_for_a_constant():
    target, weight = jax.random.normal(KEY, (50,)), jnp.ones(50)
    np.testing.assert_allclose(explained_variance(target, target, weight), 1, atol=1e-6)
    np.testing.assert_allclose(explained_variance(target * 0 + 3, target, weight), 0, atol=1e-5)
    assert explained_variance(target, target * 0, weight) == 0


@pytest.mark.parametrize("vectorise", [False, True], ids=["in turns", "side by side"])
def test_seeds_do_not_see_each_other(vectorise):
    """In turns, not in a single bit; side by side, but for rounding."""
    env = Corridor()
    algorithm = PPO(num_envs=4, segment_length=16, epochs=2, minibatch_size=32, hidden=(8,)).build(
        Spec(env.observation_space, env.action_space, 4, 3)
    )

    def trained(seeds):
        fresh = jax.jit(lambda key: begin(algorithm, env, key))
        states = [fresh(jax.random.key(seed)) for seed in seeds]
        if vectorise:
            states, _ = run_together(algorithm, env, states, 3, 10**6)
        else:
            states = [run(algorithm, env, state, 3, 10**6)[0] for state in states]
        return jax.tree.map(np.asarray, states[-1].agent)

    tolerance = 1e-4 if vectorise else 0.0
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance),
        trained([7]),
        trained([3, 5, 7]),
    )


SPLIT = {
    "plain": (A2C, Corridor(), {}),
    "statistics": (A2C, Match(kind="box"), {"normalise_observations": True, "scale_rewards": True}),
    "one trunk": (A2C, Match(kind="box"), {"shared_network": True, "normalise_advantages": True}),
}


def sampled(kind, env, **options):
    """An algorithm, an agent that has learnt once, and what it sampled then."""
    parameters = kind(num_envs=4, segment_length=6, hidden=(8,), learning_rate=1e-2, **options)
    algorithm = parameters.build(Spec(env.observation_space, env.action_space, 4, 10))

    @jax.jit
    def once_and_again():
        state = begin(algorithm, env, KEY)
        streams, trajectory, _ = sample(algorithm, state.agent, env, state.streams, KEY)
        agent, _ = algorithm.update(KEY, state.agent, trajectory)
        return agent, sample(algorithm, agent, env, streams, jax.random.key(1))[1]

    return algorithm, *once_and_again()


@pytest.mark.parametrize("case", SPLIT)
def test_gradients_and_then_the_step_are_the_update_in_every_bit(case):
    """Nothing else of the agent travels than a copy, and nothing else comes back than what `gradients` returns.

    In every bit where operation follows operation; programs that are compiled whole may add in another order.
    """
    kind, env, options = SPLIT[case]
    algorithm, agent, trajectory = sampled(kind, env, **options)
    compiled, tolerance = (lambda function: function, 0.0) if case == "plain" else (jax.jit, 2e-6)

    def same(one, other):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)

    expected, info = compiled(algorithm.update)(KEY, agent, trajectory)
    copy = copy_of(agent)
    assert jax.tree.leaves((copy.policy_state, copy.critic_state)) == []
    arrived = compiled(lambda copy: gradients(algorithm, copy, trajectory)[0])(copy)
    found, split_info = compiled(algorithm.improve)(KEY, agent, arrived)
    jax.tree.map(same, found, expected)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    assert {*split_info.metrics, "kl"} == set(info.metrics)
    for name, value in split_info.metrics.items():
        same(value, info.metrics[name])
    assert split_info.finite.names == info.finite.names
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (agent.policy, expected.policy)), strict=True))


def arrived_late(algorithm, old, trajectory):
    """The gradients of an agent, what it had become when they arrived, and what they made of that."""
    late = jax.jit(lambda copy: gradients(algorithm, copy, trajectory)[0])(copy_of(old))
    newest, _ = jax.jit(algorithm.update)(KEY, old, trajectory)
    return late, newest, jax.jit(algorithm.improve)(KEY, newest, late)[0]


def test_a_late_gradient_moves_the_parameters_as_they_are_by_the_step_of_the_copys_gradient():
    """By RMSProp, written out: ν ← 0.99 ν + 0.01 g², θ ← θ + α g / √(ν + ε), with the newest θ and ν, and an old g."""
    algorithm, old, trajectory = sampled(A2C, Corridor(), clip_global_norm=1e9, anneal=False)
    late, newest, found = arrived_late(algorithm, old, trajectory)

    def vector(tree):
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])

    for place, gradient in (("policy", late.problem.value), ("critic", late.regression.value)):
        g, before = vector(gradient), vector(getattr(newest, place))
        square = 0.99 * vector(getattr(newest, f"{place}_state")[1]) + 0.01 * g**2
        np.testing.assert_allclose(
            vector(getattr(found, place)), before + 1e-2 * g / np.sqrt(square + 1e-5), rtol=1e-4, atol=1e-6
        )
    assert newest.updates + 1 == found.updates


def test_statistics_that_arrive_late_count_every_row_once():
    algorithm, old, trajectory = sampled(A2C, Match(kind="box"), normalise_observations=True, scale_rewards=True)
    _, _, found = arrived_late(algorithm, old, trajectory)
    rows = np.asarray(trajectory.obs).reshape(-1, 2)
    before, after = old.observations.moments, found.observations.moments
    assert after.count == before.count + 2 * len(rows)
    mean = (before.mean * before.count + 2 * rows.sum(axis=0)) / after.count
    np.testing.assert_allclose(after.mean, mean, rtol=1e-4, atol=1e-6)
    assert found.rewards.moments.count == old.rewards.moments.count + 2 * len(rows)


def test_a_rule_that_asks_for_more_than_a_gradient_is_refused():
    problem = GivenGradient(jnp.ones(3), {"objective": jnp.zeros(())})
    for ask in (lambda: problem.minibatch(jnp.zeros(1, jnp.int32)), lambda: problem.evaluate(jnp.ones(3))):
        with pytest.raises(TypeError, match="only the gradient is known here"):
            ask()
    assert problem.size == 1


@pytest.mark.parametrize("baseline", ["optimal", "optimal_scalar"])
def test_the_optimal_baseline_of_reinforce_is_that_of_the_estimator(baseline):
    """G6, made where the gradient is: the step follows the estimator's gradient for the same episodes."""
    env = Corridor()
    parameters = Reinforce(
        num_envs=6, policy="tabular", returns="whole_return", baseline=baseline, normalise_advantages=False
    )
    algorithm = parameters.build(Spec(env.observation_space, env.action_space, 6, 10))
    key = jax.random.key(2)
    agent = jax.jit(algorithm.init)(key)
    logits = jax.random.normal(key, agent.policy.logits.shape)
    agent = eqx.tree_at(lambda each: each.policy.logits, agent, logits)
    trajectory = jax.jit(lambda agent: sample(algorithm, agent, env, start(algorithm, env, key), key)[1])(agent)
    estimator = VarianceOptimal(parameters.discount, per_parameter=baseline == "optimal")

    @jax.jit
    def both(agent, trajectory):
        found = algorithm.evaluate(agent, trajectory).problem.gradient(agent.policy)[0].logits
        return found, estimator.gradient(agent.policy, trajectory)[0].logits

    found, wanted = both(agent, trajectory)
    np.testing.assert_allclose(found * int(jnp.sum(trajectory.valid)) / 6, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("n_step", "gae_lambda"), [(1, 0.0), (6, 1.0)], ids=["one reward is lambda 0", "the segment is lambda 1"]
)
def test_the_n_steps_of_a_batch_actor_critic_end_where_gae_does(n_step, gae_lambda):
    """G10 between G8 and G9: the advantages of both and what both critics are fitted to, but for rounding."""
    algorithm, agent, trajectory = sampled(BatchActorCritic, Corridor(), minibatch_size=24, n_step=n_step)
    gae = BatchActorCritic(num_envs=4, segment_length=6, hidden=(8,), minibatch_size=24, gae_lambda=gae_lambda)
    found = jax.jit(algorithm.evaluate)(agent, trajectory)
    wanted = jax.jit(gae.build(algorithm.spec).evaluate)(agent, trajectory)
    np.testing.assert_allclose(found.problem.batch.advantage, wanted.problem.batch.advantage, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.regression.target, wanted.regression.target, rtol=1e-4, atol=1e-5)


def test_the_clip_radius_falls_with_the_updates_that_were_made():
    env = Corridor()
    parameters = PPO(
        num_envs=2, segment_length=4, minibatch_size=8, hidden=(4,), final_clip_radius=0.1, value_clip_radius=0.3
    )
    algorithm = parameters.build(Spec(env.observation_space, env.action_space, 2, 4))

    @jax.jit
    def step(state):
        trajectory = sample(algorithm, state.agent, env, state.streams, state.key)[1]
        return trajectory, algorithm.evaluate(state.agent, trajectory), update_once(algorithm, env, state)[0]

    state = jax.jit(lambda key: begin(algorithm, env, key))(jax.random.key(0))
    for radius in (0.2, 0.175, 0.15):
        trajectory, prepared, following = step(state)
        np.testing.assert_allclose(prepared.problem.objective.radius, radius, rtol=1e-6)
        np.testing.assert_allclose(prepared.regression.old, state.agent.critic(trajectory.obs).reshape(-1), rtol=1e-5)
        assert prepared.regression.radius == 0.3
        state = following
