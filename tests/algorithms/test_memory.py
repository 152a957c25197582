"""Policies and critics with memory: what acting does step by step, updates do again, for whole streams."""

import dataclasses

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree
from vector_environment import BEGINNINGS
from worlds import Corridor

from steepest.algorithms import A2C, PPO, TRPO
from steepest.algorithms.bodies.actor_critic import MEASURED_ROWS
from steepest.algorithms.bodies.agent import state_values, value_of
from steepest.cli.main import main
from steepest.core.errors import InputError
from steepest.core.histories import Histories, select
from steepest.core.moments import Moments, ObservationNormaliser
from steepest.core.problem import SampledProblem
from steepest.core.spaces import Box, Discrete, Spec
from steepest.core.trajectory import Batch, Estimates, Trajectory, with_memory
from steepest.critics import ClippedRegression, ValueRegression
from steepest.diagnostics.frozen import FrozenNormaliser, NormalisedPolicy
from steepest.diagnostics.rollouts import HostRollouts
from steepest.experiments.configuration import hyper_parameters
from steepest.experiments.trained import TrainedPolicy
from steepest.networks import GRU, LSTM
from steepest.networks.rational import sigmoid, tanh
from steepest.networks.unrolling import unrolled
from steepest.objectives import Ratio
from steepest.runs import checkpoints
from steepest.sampling.compiled import sample, start
from steepest.sampling.host import HostStreams
from steepest.steps import MinibatchAscent, Optimiser
from steepest.training.compiled import CompiledTraining

KEY = jax.random.key(0)
LENGTH, STREAMS = 12, 4
SPEC = Spec(Box(-1.0, 1.0, (3,)), Discrete(2), STREAMS, 1)


def networks(memory="gru", shared=False, seed=0):
    """Networks that lean on their memory: an agent of PPO, whose weights are made larger."""
    ppo = PPO(
        num_envs=STREAMS, segment_length=LENGTH, minibatch_size=LENGTH, epochs=1, hidden=(5,), activation="relu",
        memory=memory, memory_size=3, shared_network=shared,
    )  # fmt: skip
    algorithm = ppo.build(SPEC)
    return algorithm, moved(algorithm.init(jax.random.key(seed)))


def moved(tree):
    """Other parameters."""
    return jax.tree.map(
        lambda leaf: (
            leaf + 0.3 * jax.random.normal(KEY, leaf.shape, leaf.dtype) if eqx.is_inexact_array(leaf) else leaf
        ),
        tree,
    )


def trajectory_of(algorithm, seed=1):
    """Rows of no environment, in which episodes end in both ways, and one stream resets itself in rows 5 and 9."""
    rng = np.random.default_rng(seed)
    shape = LENGTH, STREAMS
    obs = rng.normal(size=(LENGTH + 1, STREAMS, 3)).astype(np.float32)
    terminated, truncated, valid = np.zeros(shape, bool), np.zeros(shape, bool), np.ones(shape, bool)
    terminated[[3, 7], [0, 1]] = truncated[[2, 6, 9, 4, 8], [2, 2, 0, 3, 3]] = True
    valid[[5, 9], [3, 3]] = False
    next_obs = np.where((truncated | terminated)[..., None], rng.normal(size=obs[1:].shape), obs[1:])
    # What an environment shows while it resets itself could be anything.
    obs[:-1][~valid] = 50.0
    carry = jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), algorithm.initial_carry(SPEC)
    )
    return Trajectory(
        obs=jnp.asarray(obs[:-1]),
        action=jnp.asarray(rng.integers(2, size=shape), jnp.int32),
        next_obs=jnp.asarray(next_obs, jnp.float32),
        reward=jnp.asarray(rng.normal(size=shape), jnp.float32),
        log_prob=jnp.zeros(shape, jnp.float32),
        terminated=jnp.asarray(terminated),
        truncated=jnp.asarray(truncated),
        valid=jnp.asarray(valid),
        carry=carry,
    )


def acted(algorithm, agent, trajectory):
    """Step by step, as samplers do it: the logits of every row, and the carry after it before any is put back."""
    carry, first = trajectory.carry, algorithm.initial_carry(SPEC)
    logits, carries = [], []
    for time in range(LENGTH):
        logits.append(agent.policy.step(carry.policy, trajectory.obs[time])[0].logits)
        carry = algorithm.act(KEY, agent, carry, trajectory.obs[time])[2]
        carries.append(carry)
        ended = trajectory.terminated[time] | trajectory.truncated[time] | ~trajectory.valid[time]
        carry = jax.tree.map(lambda new, old, ended=ended: jnp.where(ended[:, None], new, old), first, carry)
    return np.stack(logits), carries


def plain():
    return optax.identity()


KINDS = pytest.mark.parametrize(("memory", "shared"), [("gru", False), ("lstm", True)])


@KINDS
def test_what_is_unrolled_is_what_acted(memory, shared):
    """Also where episodes end in the middle, in both ways, and where an environment shows anything as it resets."""
    algorithm, agent = networks(memory, shared)
    trajectory = trajectory_of(algorithm)
    expected, carries = acted(algorithm, agent, trajectory)
    rows = with_memory(trajectory.obs.reshape(-1, 3), trajectory, trajectory.carry.policy)
    found = agent.policy(rows).logits.reshape(LENGTH, STREAMS, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.ptp(expected) > 0.5
    after = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *[each.policy for each in carries])
    unrolled = agent.policy.carries(rows)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6), unrolled, after)
    # The definition, which policies of one's own use, is the same.
    plain = rows.unroll(agent.policy.step, agent.policy.initial_carry(STREAMS))
    np.testing.assert_allclose(plain[0].logits, agent.policy(rows).logits, rtol=1e-5, atol=1e-6)


@KINDS
def test_a_successor_is_seen_with_the_memory_of_its_moment(memory, shared):
    """Where an episode ends too, though the next one begins with another."""
    algorithm, agent = networks(memory, shared)
    trajectory = trajectory_of(algorithm)
    critic = value_of(agent)
    seen = dataclasses.replace(trajectory, carry=trajectory.carry.of_value(agent))
    value, following = jax.jit(lambda seen: state_values(critic, seen))(seen)

    def asked(obs, carry):
        return critic(Histories(obs, jnp.zeros(STREAMS, bool), carry))

    _, carries = acted(algorithm, agent, trajectory)
    for time in range(LENGTH):
        expected = asked(trajectory.next_obs[time], carries[time].of_value(agent))
        np.testing.assert_allclose(following[time], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(value[0], asked(trajectory.obs[0], trajectory.carry.of_value(agent)), rtol=1e-4)
    ended = np.asarray(trajectory.terminated | trajectory.truncated | ~trajectory.valid)
    goes_on = ~ended[:-1] & np.asarray(trajectory.valid)[1:]
    np.testing.assert_allclose(np.asarray(following)[:-1][goes_on], np.asarray(value)[1:][goes_on], rtol=1e-4)


@pytest.mark.parametrize("kind", [GRU, LSTM])
def test_cells_are_those_of_another_library(kind):
    cell = kind.initial(KEY, 4, 3)
    obs, carry = jax.random.normal(KEY, (2, 4)), jax.tree.map(lambda leaf: leaf + 0.3, cell.initial_carry((2,)))
    weight, bias = cell.input.weights[0].T, jax.random.normal(KEY, cell.input.biases[0].shape)
    cell = eqx.tree_at(lambda each: each.input.biases, cell, (bias,))
    found = cell.advance(carry, cell.projected(obs))
    if kind is GRU:
        cell = eqx.tree_at(lambda each: each.candidate_bias, cell, jax.random.normal(KEY, (3,)))
        found = cell.advance(carry, cell.projected(obs))
        other = eqx.nn.GRUCell(4, 3, key=KEY)
        where = lambda each: (each.weight_ih, each.weight_hh, each.bias, each.bias_n)  # noqa: E731
        # There the bias of the input is added outside of the reset gate too, and z and n trade places at the end.
        other = eqx.tree_at(where, other, (weight, cell.weight.T, bias, cell.candidate_bias))
    else:
        other = eqx.nn.LSTMCell(4, 3, key=KEY)
        where = lambda each: (each.weight_ih, each.weight_hh, each.bias)  # noqa: E731
        order = np.r_[:6, 9:12, 6:9]  # there the gate of the output is the last
        other = eqx.tree_at(where, other, (weight[order], cell.weight.T[order], bias[order]))
    expected = jax.vmap(other)(obs, carry)
    jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, rtol=1e-5), found, expected)
    np.testing.assert_array_equal(cell.output(found), jax.tree.leaves(found)[0])


@pytest.mark.parametrize("kind", [GRU, LSTM])
def test_derivatives_of_unrolled_cells_are_those_of_their_steps(kind):
    """Both ways, of all arguments, and the second ones too; episodes begin in the middle."""
    rng = np.random.default_rng(0)
    cell = moved(kind.initial(KEY, 2, 3))
    begins = jnp.asarray(rng.uniform(size=(5, 2)) < 0.3)
    carry = jax.tree.map(lambda leaf: leaf + 0.4, cell.initial_carry((2,)))
    features = jnp.asarray(rng.normal(size=(5, 2, 2)), jnp.float32)

    def step_by_step(cell, projected, begins, carry):
        found = []
        for row, begin in zip(projected, begins, strict=True):
            carry = cell.advance(select(begin, cell.initial_carry((2,)), carry), row)
            found.append(carry)
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)

    def derivatives(unroll):
        def total(vector):
            cell, features, carry = unravel(vector)
            found = unroll(cell, cell.projected(features), begins, carry)
            return sum(jnp.sum(jnp.sin(3 * leaf)) for leaf in jax.tree.leaves(found))

        vector, unravel = ravel_pytree((cell, features, carry))
        ones = jnp.ones_like(vector)

        @jax.jit
        def all_of_them(vector):
            second = jax.jvp(jax.grad(total), (vector,), (ones,))[1]
            return total(vector), jax.grad(total)(vector), jax.jvp(total, (vector,), (ones,))[1], second

        return all_of_them(vector)

    for found, expected in zip(derivatives(unrolled), derivatives(step_by_step), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-4 * np.abs(expected).max())


def test_the_tangent_within_loops_is_the_tangent():
    x = np.linspace(-12, 12, 10_001)
    np.testing.assert_allclose(tanh(jnp.asarray(x, jnp.float32)), np.tanh(x), atol=4e-7)
    np.testing.assert_allclose(sigmoid(jnp.asarray(x, jnp.float32)), 1 / (1 + np.exp(-x)), atol=4e-7)
    assert np.isnan(tanh(jnp.asarray(np.nan, jnp.float32)))


def sampled(algorithm, agent, env, segments):
    """Trajectories one after the other."""
    once = jax.jit(lambda streams, key: sample(algorithm, agent, env, streams, key)[:2])
    streams = start(algorithm, env, KEY)
    for index in range(segments):
        streams, trajectory = once(streams, jax.random.fold_in(KEY, index))
        yield trajectory


def test_the_policy_that_acted_has_the_ratio_1_in_every_segment():
    """Log-probabilities that are computed again, from the memory that was stored, are those that were sampled."""
    env = Corridor()
    ppo = PPO(num_envs=8, segment_length=16, minibatch_size=32, hidden=(4,), memory="gru", memory_size=3)
    algorithm = ppo.for_env(env, updates=1)
    agent = moved(algorithm.init(KEY))
    for trajectory in sampled(algorithm, agent, env, 3):
        batch = algorithm.evaluate(agent, trajectory).problem.batch
        ratio = np.exp(agent.policy(batch.obs).log_prob(batch.action) - batch.log_prob)
        np.testing.assert_allclose(ratio, 1, atol=1e-5)
    assert np.any(trajectory.terminated)
    assert np.any(trajectory.carry.policy)
    assert np.any(trajectory.carry.critic)


NOISE = Spec(Box(-9.0, 9.0, (2,)), Discrete(2), 2, 1)


class Noise(gymnasium.Env):
    """Observes noise for two to five steps, which end in either way."""

    observation_space = gymnasium.spaces.Box(-9, 9, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, index):
        self.index, self.random = index, np.random.default_rng(index)

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return self.random.normal(size=2).astype(np.float32), {}

    def step(self, action):
        self.time += 1
        over = self.time == 2 + self.index
        return self.random.normal(size=2).astype(np.float32), 1.0, over and self.index % 2 == 0, over, {}


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_on_the_host_too_whatever_is_shown_while_environments_reset(kind):
    env = kind([Noise(index) for index in range(4)], name="Noise", seed=0)
    algorithm = A2C(num_envs=4, segment_length=11, hidden=(), memory="lstm", memory_size=3).for_env(env, updates=1)
    agent = moved(algorithm.init(KEY))
    streams = HostStreams(algorithm, [env])
    for _ in range(2):
        trajectory, _ = streams.sample(agent, KEY)
        batch = jax.jit(lambda agent, trajectory: algorithm.evaluate(agent, trajectory).problem.batch)(
            agent, trajectory
        )
        valid = np.asarray(batch.weight) > 0
        ratio = np.exp(agent.policy(batch.obs).log_prob(batch.action) - batch.log_prob)[valid]
        np.testing.assert_allclose(ratio, 1, atol=1e-5)
    assert np.any(trajectory.carry.policy[0])
    assert valid.all() == (kind is BEGINNINGS[0])


def test_policies_apart_remember_apart():
    """Two on the host at once, as perturbed ones are: with the weights of one, both do what it does."""
    rollouts = HostRollouts(
        lambda count, seed: BEGINNINGS[0]([Noise(0) for _ in range(count)], name="Noise", seed=0), 2, 0, 5
    )
    policy = moved(PPO(num_envs=2, hidden=(), memory="lstm", memory_size=3).build(NOISE).init(KEY)).policy
    both = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), policy)
    found, steps = rollouts.performances(jax.random.split(KEY, 2), both, 1, 1.0)
    assert (found.shape, int(steps)) == ((2,), 4)
    rollouts.close()


def problem_of(algorithm, agent, trajectory):
    """The policy's problem, with the advantages of no critic."""
    seen = dataclasses.replace(trajectory, carry=trajectory.carry.policy)
    batch = Batch.of(seen, Estimates(trajectory.reward, trajectory.reward))
    old = agent.policy(batch.obs)
    return SampledProblem(Ratio(), dataclasses.replace(batch, log_prob=old.log_prob(batch.action)), old)


@KINDS
def test_the_fisher_information_is_the_hessian_of_the_kl(memory, shared):
    """Through the unrolled memory: both written out as matrices."""
    algorithm, agent = networks(memory, shared)
    problem = problem_of(algorithm, agent, trajectory_of(algorithm))
    vector, unravel = ravel_pytree(agent.policy)
    hessian = jax.jit(jax.hessian(lambda each: problem.kl(unravel(each))))(vector)
    operator = problem.fisher(agent.policy)
    matrix = jax.jit(jax.vmap(lambda each: ravel_pytree(operator.mv(unravel(each)))[0]))(jnp.eye(len(vector)))
    size = np.abs(hessian).max()
    np.testing.assert_allclose(matrix, hessian, atol=2e-4 * size)
    assert size > 0.01


def test_minibatches_are_of_whole_streams_with_the_memory_they_began_with():
    algorithm, agent = networks()
    problem = problem_of(algorithm, agent, trajectory_of(algorithm))
    assert (problem.size, problem.streams) == (LENGTH * STREAMS, STREAMS)
    rows = np.asarray(MinibatchAscent(Optimiser(0.1), 1, 2 * LENGTH)._rows(KEY, problem)[0])
    chosen = rows[:2]
    some = problem.minibatch(jnp.asarray(rows))
    assert (some.size, some.streams) == (2 * LENGTH, 2)
    np.testing.assert_allclose(agent.policy(some.batch.obs).logits, problem.old.logits[rows], atol=1e-6)
    np.testing.assert_array_equal(some.batch.obs.carry, problem.batch.obs.carry[chosen])
    with pytest.raises(ValueError, match="sees whole streams"):
        problem.minibatch(jnp.arange(LENGTH - 1, dtype=jnp.int32))
    mean = sum(
        problem.minibatch(jnp.asarray(each)).evaluate(agent.policy)[0] * problem.batch.weight[each].sum()
        for each in MinibatchAscent(Optimiser(0.1), 1, 2 * LENGTH)._rows(KEY, problem)
    )
    np.testing.assert_allclose(mean / problem.batch.weight.sum(), problem.evaluate(agent.policy)[0], rtol=1e-5)


@pytest.mark.parametrize(("rows", "streams"), [(1, 1), (LENGTH, 1), (LENGTH + 1, 2), (30, 4), (MEASURED_ROWS, 4)])
def test_fewer_rows_are_those_of_fewer_streams(rows, streams):
    algorithm, agent = networks()
    problem = problem_of(algorithm, agent, trajectory_of(algorithm))
    some = problem.thinned(rows)
    assert (some.streams, some.size) == (streams, streams * LENGTH)
    np.testing.assert_allclose(agent.policy(some.batch.obs).logits, some.old.logits, atol=1e-6)
    np.testing.assert_allclose(some.kl(agent.policy), 0, atol=1e-7)


def test_streams_are_cut_into_sequences_that_begin_with_what_was_remembered():
    """At the parameters that cut them they say what whole streams say; elsewhere their start is another's memory."""
    algorithm, agent = networks()
    problem, length = problem_of(algorithm, agent, trajectory_of(algorithm)), 4
    cut = problem.in_sequences(agent.policy, length)
    assert (cut.size, cut.streams) == (LENGTH * STREAMS, 3 * STREAMS)
    np.testing.assert_allclose(agent.policy(cut.batch.obs).logits, cut.old.logits, atol=1e-6)
    np.testing.assert_allclose(cut.evaluate(agent.policy)[0], problem.evaluate(agent.policy)[0], rtol=1e-5)
    other = moved(agent.policy)
    whole = problem.kl(other)
    np.testing.assert_allclose(problem.in_sequences(other, length).kl(other), whole, rtol=1e-4)
    assert abs(cut.kl(other) / whole - 1) > 0.01
    critic, trajectory = agent.critic, trajectory_of(algorithm)
    rows = with_memory(trajectory.obs.reshape(-1, 3), trajectory, trajectory.carry.critic)
    regression = ValueRegression(
        (rows,), trajectory.reward.reshape(-1), trajectory.valid.reshape(-1).astype(jnp.float32)
    )
    for each in (regression, ClippedRegression(regression, critic(rows), 0.2)):
        np.testing.assert_allclose(
            each.in_sequences(critic, length).evaluate(critic)[0], each.evaluate(critic)[0], rtol=1e-5
        )


@pytest.mark.parametrize("recompute", [False, True])
def test_sequences_begin_anew_before_every_pass_where_that_was_asked_for(recompute):
    """Two passes of one minibatch, beside the same two gradient steps written out."""
    algorithm, agent = networks()
    problem, length = problem_of(algorithm, agent, trajectory_of(algorithm)), 4
    rule = MinibatchAscent(
        Optimiser(0.3, direction=plain), 2, LENGTH * STREAMS, sequence_length=length, recompute_memory=recompute
    )
    found, _, _ = jax.jit(lambda policy: rule.step(KEY, policy, problem, rule.init(policy)))(agent.policy)
    policy = agent.policy
    for _ in range(2):
        cut = problem.in_sequences(policy if recompute else agent.policy, length)
        gradient = jax.grad(lambda each, cut=cut: cut.evaluate(each)[0])(policy)
        policy = jax.tree.map(lambda leaf, slope: leaf + 0.3 * slope, policy, gradient)
    np.testing.assert_allclose(ravel_pytree(found)[0], ravel_pytree(policy)[0], atol=2e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"memory": "gru", "policy": "linear"},
            "memory is 'gru', but policy is 'linear', which has none. Use 'network'",
        ),
        ({"memory": "gru", "memory_size": 0}, "memory_size is 0"),
        ({"memory": "gru", "sequence_length": 48}, "sequence_length is 48; it must divide segment_length"),
        ({"sequence_length": 32}, "sequence_length is 32, but memory is 'none'"),
        ({"memory": "gru", "recompute_memory": True}, "recompute_memory is True, but sequence_length is None"),
        (
            {"memory": "gru", "minibatch_size": 700},
            "minibatch_size is 700, which takes 3 streams of 256 rows; the 8 that",
        ),
        ({"memory": "gru", "minibatch_size": 700}, "The nearest that fits is 512"),
    ],
)
def test_what_cannot_work_is_refused_by_name(given, message):
    with pytest.raises(InputError, match=message):
        PPO(**given)


def test_an_algorithm_without_memory_says_so_in_one_line(capsys):
    with pytest.raises(InputError, match=r"ddpg has no memory; ppo, .* and reinforce have it\. Leave it out"):
        hyper_parameters("ddpg", {"memory": "gru"})
    assert main(["train", "ddpg", "--env", "Pendulum-v1", "--memory", "gru"]) == 2
    assert capsys.readouterr().err.startswith("steepest: ddpg has no memory; ppo, ")


def test_minibatches_hold_as_many_streams_as_their_rows_need():
    assert PPO().minibatch_rows == 64
    assert PPO(memory="gru").minibatch_rows == 256
    assert PPO(memory="gru", minibatch_size=300).minibatch_rows == 512
    assert TRPO(memory="gru", sequence_length=32).minibatch_rows == 64


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path):
    """On a compiled environment, from a checkpoint in the middle of episodes."""
    a2c = A2C(num_envs=4, segment_length=8, hidden=(4,), memory="gru", memory_size=3)
    algorithm = a2c.for_env(Corridor(), updates=4)
    whole, first, second = (CompiledTraining(algorithm, Corridor(), seeds=(3,), total_steps=128) for _ in range(3))
    while not whole.finished:
        whole.advance(0.0)
    while first.steps < 64:
        first.advance(0.0, until=64)
    state = first.states()[3]
    assert np.any(state.streams.carry.policy)
    checkpoints.save(tmp_path, state, seed=3, update=2, steps=64, fingerprint="")
    found = checkpoints.newest(tmp_path, jax.eval_shape(lambda: state), seed=3, fingerprint="")
    second.restore({3: found.tree})
    while not second.finished:
        second.advance(0.0)
    jax.tree.map(np.testing.assert_array_equal, whole.agents()[3], second.agents()[3])
    jax.tree.map(np.testing.assert_array_equal, whole.states()[3].streams.carry, second.states()[3].streams.carry)


def test_a_trained_policy_remembers_until_it_is_reset():
    algorithm, agent = networks("lstm")
    policy, rng = TrainedPolicy(algorithm, agent), np.random.default_rng(0)
    rows = rng.uniform(-1, 1, (6, 2, 3)).astype(np.float32)
    carry = algorithm.initial_carry(dataclasses.replace(SPEC, num_envs=2))
    for obs in rows:
        distribution, after = agent.policy.step(carry.policy, obs)
        np.testing.assert_allclose(policy.distribution(obs).logits, distribution.logits, rtol=1e-5)
        critic = agent.critic(Histories(obs, jnp.zeros(2, bool), carry.critic))
        np.testing.assert_allclose(policy.value(obs), critic, rtol=1e-5)
        np.testing.assert_array_equal(policy(obs), distribution.mode())
        carry = dataclasses.replace(carry, policy=after, critic=agent.critic.remember(carry.critic, obs))
    policy.reset()
    fresh = agent.policy.step(agent.policy.initial_carry(2), rows[0])[0]
    np.testing.assert_allclose(policy.distribution(rows[0]).logits, fresh.logits, rtol=1e-5)
    normalised = NormalisedPolicy(agent.policy, FrozenNormaliser(ObservationNormaliser(Moments.initial((3,)))))
    found = normalised.step(normalised.initial_carry(2), rows[0])[0]
    np.testing.assert_allclose(found.logits, fresh.logits, rtol=1e-4)
