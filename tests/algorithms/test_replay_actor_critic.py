"""The body that learns from a ring: what it remembers, when it learns, and what stands still meanwhile."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from worlds import Corridor, Match

from steepest.algorithms import DDPG, DPG, OffPAC, OffPolicyActorCritic
from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Spec
from steepest.critics import ValueRegression, polyak
from steepest.policies.behaviour import Uniform
from steepest.sampling.compiled import sample, start
from steepest.training.compiled import begin, train, update_once

KEY = jax.random.key(0)
TINY = {"num_envs": 2, "segment_length": 4, "replay_ratio": 0.5, "hidden": (8,), "batch_size": 16, "capacity": 64}


def composed(parameters, env, updates=100):
    return parameters.build(Spec(env.observation_space, env.action_space, parameters.num_envs, updates))


@functools.cache
def after(parameters, env, updates):
    algorithm = composed(parameters, env)
    state, metrics = jax.jit(lambda key: train(algorithm, env, key, updates=updates))(KEY)
    return algorithm, state.agent, metrics


def test_every_transition_enters_the_ring_and_the_ratio_of_steps_is_told():
    _, agent, metrics = after(DDPG(**TINY, warm_up_steps=16), Match(), 5)
    assert int(agent.experience.steps) == 40
    assert int(agent.experience.gradient_steps) == 4 * 4  # from the second update on, when 16 transitions are there
    np.testing.assert_array_equal(metrics["replayed"], [8, 16, 24, 32, 40])
    np.testing.assert_allclose(metrics["replay_ratio"], [0, 4 / 16, 8 / 24, 12 / 32, 16 / 40])
    assert np.isnan(metrics["objective"][0])
    assert np.all(np.isfinite(metrics["objective"][1:]))


def test_no_more_is_laid_out_than_the_run_will_make():
    env = Match()
    short = composed(DDPG(**{**TINY, "capacity": 10**9}), env, updates=3)
    assert short.kept == 24
    assert composed(DDPG(**TINY), env).kept == 64
    longer = dataclasses.replace(short, spec=dataclasses.replace(short.spec, total_updates=5))
    assert longer.kept == 40  # one that was built for a short run, and goes into a longer one
    assert len(longer.init(KEY).experience.ring.reward) == 40


def test_actions_are_uniform_until_learning_begins():
    env = Match()
    algorithm = composed(DDPG(**TINY, warm_up_steps=8), env)
    act = jax.jit(lambda agent: algorithm.act(KEY, agent, (), jnp.zeros((4000, 2)))[:2])
    agent = algorithm.init(KEY)
    action, log_prob = act(agent)
    np.testing.assert_allclose(np.std(action), 4 / np.sqrt(12), rtol=0.05)
    np.testing.assert_allclose(log_prob, -2 * np.log(4), rtol=1e-6)
    warm = dataclasses.replace(agent, experience=dataclasses.replace(agent.experience, steps=jnp.asarray(8)))
    action, _ = act(warm)
    np.testing.assert_allclose(np.std(action), 2 * np.exp(-2.3), rtol=0.05)


@pytest.mark.parametrize(
    "space", [Discrete(3), MultiDiscrete((2, 3)), MultiBinary(2), Box(np.array([-1.0, 0.0]), np.array([1.0, 4.0]))]
)
def test_uniform_actions_are_uniform_and_know_it(space):
    from steepest.core.distributions import Categorical

    action, log_prob, _ = Uniform(space).act(KEY, (), Categorical(jnp.zeros((3000, 2))), jnp.zeros((3000, 2)))
    assert action.shape == (3000, *space.shape)
    assert action.dtype == space.dtype
    size = {Discrete: 3, MultiDiscrete: 6, MultiBinary: 4, Box: 8}[type(space)]
    np.testing.assert_allclose(log_prob, -np.log(size), rtol=1e-6)
    high = {Discrete: 2, MultiDiscrete: [1, 2], MultiBinary: [1, 1], Box: [1, 4]}[type(space)]
    low = {Box: [-1, 0]}.get(type(space), np.zeros(space.shape))
    np.testing.assert_allclose(np.mean(action, axis=0), (np.asarray(low) + np.asarray(high)) / 2, atol=0.1)
    np.testing.assert_allclose(np.min(action, axis=0), low, atol=0.01)
    np.testing.assert_allclose(np.max(action, axis=0), high, atol=0.01)


def test_an_agent_for_evaluation_acts_without_the_noise_of_exploring():
    algorithm, agent, _ = after(DDPG(**TINY, exploration="ornstein_uhlenbeck"), Match(), 3)
    obs, carry = jnp.ones((2, 2)), jnp.ones((2, 2))
    best = algorithm.act_deterministic(agent, carry, obs)[0]
    still = algorithm.act(KEY, algorithm.for_evaluation(agent), carry, obs)[0]
    np.testing.assert_array_equal(still, best)
    stochastic, agent, _ = after(OffPolicyActorCritic(**TINY, warm_up_steps=10**6), Match(), 2)
    drawn = stochastic.act(KEY, stochastic.for_evaluation(agent), (), obs)[0]
    np.testing.assert_array_equal(drawn, agent.policy(obs).sample(KEY))


def test_drifting_noise_drifts_from_step_to_step_and_begins_each_episode_at_0():
    """Within a segment of many steps too; its deviation and its correlation are those of the process."""
    env = Match()  # episodes of four steps
    parameters = DDPG(
        num_envs=500, segment_length=4, replay_ratio=1 / 2000, hidden=(8,), batch_size=16, capacity=4000,
        exploration="ornstein_uhlenbeck", noise_log_std=math.log(0.3), warm_up_steps=0,
    )  # fmt: skip
    algorithm = composed(parameters, env)
    agent, carry = algorithm.init(KEY), algorithm.initial_carry(algorithm.spec)
    assert not np.any(carry)
    obs = jnp.zeros((500, 2))
    drifted = jax.jit(lambda key, carry: algorithm.act(key, agent, carry, obs)[2])
    for index in range(60):
        before, carry = carry, drifted(jax.random.key(index), carry)
    np.testing.assert_allclose(np.std(carry), 0.3 / np.sqrt(1 - 0.85**2), rtol=0.1)
    np.testing.assert_allclose(np.corrcoef(before.reshape(-1), carry.reshape(-1))[0, 1], 0.85, atol=0.05)
    streams, trajectory, _ = sample(algorithm, agent, env, start(algorithm, env, KEY), KEY)
    noise = trajectory.action - agent.policy(trajectory.obs).mode()
    np.testing.assert_allclose(noise[0], 0, atol=1e-6)
    assert np.all(np.std(np.asarray(noise[1:]), axis=(1, 2)) > 0.3)
    np.testing.assert_allclose(np.corrcoef(noise[2].reshape(-1), noise[3].reshape(-1))[0, 1], 0.78, atol=0.1)
    assert not np.any(streams.carry)  # all episodes have just ended


def one_step(parameters, env):
    """An agent with something in its ring, and what one gradient step makes of it."""
    algorithm, agent, _ = after(parameters, env, 3)
    ring = agent.experience.ring
    agent = dataclasses.replace(agent, experience=dataclasses.replace(agent.experience, ring=None))
    return algorithm, agent, ring, jax.jit(algorithm._gradient_step)(KEY, agent, ring)[0]


@pytest.mark.parametrize("kind", [DDPG, OffPolicyActorCritic, OffPAC])
def test_targets_follow_slowly_and_nothing_else_moves_them(kind):
    _, before, _, moved = one_step(kind(**TINY, target_rate=0.1, warm_up_steps=8, critics=2), Match())

    def close(found, expected):
        jax.tree.map(lambda *each: np.testing.assert_allclose(*each, rtol=1e-5, atol=1e-7), found, expected)

    close(moved.experience.target_critics, polyak(before.experience.target_critics, moved.critic, 0.1))
    assert len(moved.critic) == 2
    assert not np.allclose(*(ravel_pytree(critic)[0] for critic in moved.critic))
    if kind is DDPG:
        close(moved.experience.target_policy, polyak(before.experience.target_policy, moved.policy, 0.1))
    else:
        assert moved.experience.target_policy is None


def test_the_regression_asks_the_targets_and_not_what_is_being_learnt():
    """Its target changes with the target networks, and not with policy and critic; least of two, cut at the end."""
    env = Match()
    algorithm, agent, ring, _ = one_step(DDPG(**TINY, warm_up_steps=8, critics=2, discount=0.5), env)
    rows = ring.draw(KEY, 16, discount=0.5)
    found = algorithm._regression(KEY, agent, rows).target
    action = agent.experience.target_policy(rows.next_obs).mode()
    worth = jnp.minimum(*(critic(rows.next_obs, action) for critic in agent.experience.target_critics))
    np.testing.assert_allclose(found, rows.reward + 0.5 * worth, rtol=1e-5)

    def total(agent):
        return jnp.sum(algorithm._regression(KEY, agent, rows).target)

    for leaf in jax.tree.leaves(jax.jit(jax.grad(total, allow_int=True))(agent)):
        assert leaf.dtype == jax.dtypes.float0 or not np.any(leaf)


def test_the_critic_of_a_stochastic_policy_is_asked_for_what_the_policy_would_do():
    """Not for the action that the ring holds, nor for that of the target's best guess."""
    algorithm, agent, ring, _ = one_step(OffPAC(**TINY, warm_up_steps=8, discount=0.5), Corridor())
    rows = ring.draw(KEY, 16, discount=0.5)
    chance = jax.nn.softmax(agent.policy(rows.next_obs).logits)
    worth = jnp.sum(chance * agent.experience.target_critics[0].values(rows.next_obs), axis=-1)
    expected = rows.reward + 0.5 * jnp.where(rows.terminated, 0, worth)
    np.testing.assert_allclose(algorithm._regression(KEY, agent, rows).target, expected, rtol=1e-5, atol=1e-6)


def test_actions_beyond_the_bounds_are_judged_as_the_environment_takes_them():
    algorithm, agent, ring, _ = one_step(OffPolicyActorCritic(**TINY, gaussian="gaussian", log_std=2.0), Match())
    rows = ring.draw(KEY, 16)
    rows = dataclasses.replace(rows, action=rows.action * 100)
    regression = algorithm._regression(KEY, agent, rows)
    assert isinstance(regression, ValueRegression)
    assert np.max(np.abs(regression.inputs[1])) == 2.0
    judge, far = algorithm._judge(agent.critic), jnp.full((1, 2), 50.0)
    np.testing.assert_array_equal(judge(jnp.zeros((1, 2)), far), judge(jnp.zeros((1, 2)), jnp.full((1, 2), 2.0)))


def test_a_fault_keeps_the_agent_and_what_was_really_seen():
    """Of a learning rate that breaks everything: the parameters stay, the transitions are there."""
    env = Match()
    algorithm = composed(DDPG(**TINY, warm_up_steps=0, critic_learning_rate=1e38), env)
    before = begin(algorithm, env, KEY)
    once = jax.jit(lambda state: update_once(algorithm, env, state)[0])
    state = before
    while state.fault < 0:
        before, state = state, once(state)
    jax.tree.map(np.testing.assert_array_equal, state.agent.policy, before.agent.policy)
    jax.tree.map(np.testing.assert_array_equal, state.agent.critic, before.agent.critic)
    assert int(state.agent.experience.ring.size) == int(before.agent.experience.ring.size) + 8


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (DDPG, {"replay_ratio": 0.3}, r"2 × 4 × 0.3 gradient steps cannot be made. The nearest that can is 0.25"),
        (DDPG, {"replay_ratio": 0}, "replay_ratio is 0.0; it must be above 0"),
        (DDPG, {"batch_size": 0}, "batch_size is 0; it must be"),
        (DDPG, {"capacity": 7}, "capacity is 7; it must be a whole number and at least 8. An update adds 8"),
        (DDPG, {"warm_up_steps": -1}, "warm_up_steps is -1"),
        (DDPG, {"return_steps": 0}, "return_steps is 0"),
        (DDPG, {"return_steps": 33}, "return_steps is 33; .* at most 32. .* 32 transitions of each environment"),
        (DDPG, {"batch_size": 65}, "batch_size is 65; .* at most 64. .* the capacity is 64"),
        (DDPG, {"critics": 3}, "critics is 3; it must be"),
        (DDPG, {"target_rate": 0.0}, "target_rate is 0.0"),
        (OffPAC, {"behaviour": "soft"}, "behaviour is 'soft', but uniform_share is 0"),
        (OffPAC, {"uniform_share": 1.5}, "uniform_share is 1.5"),
        (OffPolicyActorCritic, {"fresh_actions": 0}, "fresh_actions is 0"),
    ],
)
def test_what_cannot_work_is_refused_by_name(kind, options, message):
    wrong = kind(**TINY)
    for field, value in options.items():
        object.__setattr__(wrong, field, value)  # which the checks of types in these tests might not let through
    with pytest.raises(InputError, match=message):
        wrong.__post_init__()


@pytest.mark.parametrize(
    ("parameters", "env", "message"),
    [
        (DDPG(**TINY), Corridor(), "ddpg asks how its critic changes.*is Discrete. Use off_policy_actor_critic"),
        (DPG(), Match(kind="multi_binary"), "dpg asks how its critic changes.*is MultiBinary"),
        (OffPolicyActorCritic(form="expected"), Match(), "form is 'expected'; it needs one discrete choice"),
        (OffPolicyActorCritic(form="reparameterised"), Corridor(), "'reparameterised'; it needs continuous actions"),
        (OffPAC(uniform_share=0.1), Match(), "uniform_share is 0.1; it is of one discrete choice"),
        (OffPAC(behaviour="runs/x"), Corridor(), "behaviour is 'runs/x', a run; train through steepest.train"),
        (OffPAC(capacity=2**31 - 1), Corridor(), "capacity is .* GB are free. Use at most"),
    ],
    ids=str,
)
def test_what_does_not_suit_the_task_is_refused(parameters, env, message):
    with pytest.raises(InputError, match=message):
        composed(parameters, env, updates=10**15)


def test_the_ratio_that_is_proposed_is_taken_as_it_is_printed():
    options = {"num_envs": 3, "segment_length": 7}
    with pytest.raises(InputError, match=r"The nearest that can is 0\.0952381") as refused:
        DDPG(**options, replay_ratio=0.1)
    proposed = float(str(refused.value).split()[-1].rstrip("."))
    assert composed(DDPG(**options, replay_ratio=proposed), Match()).gradient_steps == 2


def test_a_linear_policy_stands_beside_a_critic_with_hidden_layers():
    agent = composed(OffPAC(**TINY, policy="linear"), Match()).init(KEY)
    assert [weight.shape for weight in agent.policy.network.weights] == [(2, 2)]
    assert len(agent.critic[0].network.weights) == 2


@pytest.mark.parametrize(
    ("parameters", "env"),
    [
        (DDPG(**TINY, warm_up_steps=8, return_steps=3, normalise_observations=True), Match()),
        (DPG(**TINY, action_value="compatible", policy="linear"), Match()),
        (OffPolicyActorCritic(**TINY, form="reparameterised", normalise_observations=True), Match()),
        (OffPolicyActorCritic(**TINY, policy="tabular", critics=1), Corridor()),
        (OffPolicyActorCritic(**TINY, form="score", fresh_actions=1), Corridor()),
        (OffPAC(**TINY, gaussian="gaussian", entropy_bonus=0.1), Match()),
        (OffPAC(**TINY, behaviour="soft", uniform_share=0.2), Corridor()),
    ],
    ids=str,
)
def test_every_option_runs_and_stays_finite(parameters, env):
    _, agent, metrics = after(dataclasses.replace(parameters, warm_up_steps=0), env, 4)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(agent))
    assert all(np.all(np.isfinite(each)) for name, each in metrics.items() if name not in ("return", "length"))
