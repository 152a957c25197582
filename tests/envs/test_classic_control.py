"""Every compiled classic-control environment against Gymnasium's own, transition by transition."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vectorised import vectorised

from steepest.core.spaces import Box
from steepest.envs import COMPILED, compiled

TRAJECTORIES, LENGTH, RESTARTS = 8, 200, 400  # 2,000 transitions


@dataclasses.dataclass(frozen=True)
class Case:
    """How to reach the interesting states of one environment.

    - `region`: (low, high) of states to restart from, field by field; wide enough that clipping and ends occur.
    - `drive`: from the observation, the action of a policy that reaches the end of an episode; `None` is random.
    - `near`: from our successor (float32) and Gymnasium's (float64), [n, fields] each: whether they lie so near to a
      boundary of the dynamics that rounding decides on which side.
    - `action_range`: of random actions for a `Box`, wider than the box.
    - `tolerance`: of observations, in their units: some roundings of float32.
    """

    region: tuple[tuple[float, float], ...]
    near: Callable[[np.ndarray, np.ndarray], np.ndarray]
    drive: Callable[[np.ndarray], Any] | None = None
    action_range: float = 0.0
    tolerance: float = 1e-5
    terminates: bool = True


MARGIN = 1e-5


def near_cart_pole(ours, theirs):
    x, angle = np.abs(theirs[:, 0]), np.abs(theirs[:, 2])
    return (np.abs(x - 2.4) < MARGIN) | (np.abs(angle - np.deg2rad(12)) < MARGIN)


def near_acrobot(ours, theirs):
    height = -np.cos(theirs[:, 0]) - np.cos(theirs[:, 0] + theirs[:, 1])
    return np.abs(height - 1) < MARGIN


def near_mountain_car(goal):
    def near(ours, theirs):
        position, velocity = theirs.T
        at_goal = np.abs(position - goal) < MARGIN
        turning_there = (position > goal - MARGIN) & (np.abs(velocity) < MARGIN)
        # On the wall the velocity is zero, just before it is not: one may have touched it and the other not.
        gaps = np.stack([ours[:, 0], theirs[:, 0].astype(np.float32)]) - np.float32(-1.2)
        at_wall = ((gaps > 0) & (gaps < MARGIN)).any(0)
        return at_goal | turning_there | at_wall

    return near


CASES = {
    "CartPole-v1": Case(((-2.5, 2.5), (-3, 3), (-0.25, 0.25), (-3, 3)), near_cart_pole),
    "Acrobot-v1": Case(
        # Faster still, one long Runge–Kutta step magnifies float32's rounding beyond the tolerance.
        ((-np.pi, np.pi), (-np.pi, np.pi), (-10, 10), (-20, 20)),
        near_acrobot,
        drive=lambda obs: 1 + np.sign(obs[:, 5]).astype(np.int32),
        tolerance=1e-4,
    ),
    "MountainCar-v0": Case(
        ((-1.2, 0.6), (-0.07, 0.07)),
        near_mountain_car(0.5),
        drive=lambda obs: 1 + np.sign(obs[:, 1]).astype(np.int32),
        tolerance=1e-6,
    ),
    "MountainCarContinuous-v0": Case(
        ((-1.2, 0.6), (-0.07, 0.07)),
        near_mountain_car(0.45),
        drive=lambda obs: np.sign(obs[:, 1:2]),
        action_range=1.5,
        tolerance=1e-6,
    ),
    "Pendulum-v1": Case(
        ((-np.pi, np.pi), (-8, 8)),
        lambda ours, theirs: np.zeros(len(ours), bool),
        action_range=3.0,
        terminates=False,
    ),
}


@pytest.fixture(params=sorted(CASES))
def env(request):
    return compiled(request.param)


def keys(n, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def columns(state):
    """A state's fields as one NumPy array [n, fields]."""
    return np.stack([np.asarray(field) for field in jax.tree.leaves(state)], axis=1)


def random_actions(env, case, n, rng):
    if isinstance(env.action_space, Box):
        return rng.uniform(-case.action_range, case.action_range, (n, *env.action_space.shape)).astype(np.float32)
    return rng.integers(env.action_space.n, size=n, dtype=np.int32)


def transitions(env, case, rng):
    """States and actions: along episodes that are driven to their ends, and from restarts all over the state space."""
    initial, observe, step = vectorised(env)
    state = initial(keys(TRAJECTORIES))
    fresh = initial(keys(TRAJECTORIES, seed=1))
    states, actions = [], []
    for _ in range(LENGTH):
        action = random_actions(env, case, TRAJECTORIES, rng)
        if case.drive is not None:
            driven = case.drive(np.asarray(observe(state)))
            explore = rng.random(len(action)) < 0.1
            action = np.where(explore.reshape(-1, *[1] * (action.ndim - 1)), action, driven)
        states.append(columns(state))
        actions.append(action)
        successor, _, terminated = step(state, action)
        state = jax.tree.map(lambda new, old, end=terminated: jnp.where(end, new, old), fresh, successor)
    low, high = np.array(case.region, np.float32).T
    states.append(rng.uniform(low, high, (RESTARTS, len(low))).astype(np.float32))
    actions.append(random_actions(env, case, RESTARTS, rng))
    return np.concatenate(states), np.concatenate(actions)


def gymnasium_step(env, state, action):
    """Gymnasium's transition from `state`, in float64."""
    env.state = state.astype(np.float64)
    env.steps_beyond_terminated = None  # CartPole counts the steps after an end
    observation, reward, terminated, truncated, _ = env.step(action)
    assert not truncated
    return np.array(env.state, np.float64), observation, reward, terminated


def assert_gymnasium_agrees(env, states, actions):
    """One step from each row of `states`: the same observation, reward and end. Returns the ends."""
    case = CASES[env.id]
    initial, observe, step = vectorised(env)
    structure = jax.tree.structure(initial(keys(1)))
    successor, reward, terminated = step(jax.tree.unflatten(structure, list(jnp.asarray(states.T))), actions)
    theirs = gymnasium.make(env.id).unwrapped
    rows = [gymnasium_step(theirs, *row) for row in zip(states, actions, strict=True)]
    their_successor, their_observation, their_reward, their_terminated = map(np.array, zip(*rows, strict=True))

    clear = ~case.near(columns(successor), their_successor)
    assert clear.mean() > 0.98
    np.testing.assert_allclose(observe(successor)[clear], their_observation[clear], rtol=0, atol=case.tolerance)
    np.testing.assert_allclose(reward[clear], their_reward[clear], rtol=0, atol=1e-4)
    np.testing.assert_array_equal(terminated[clear], their_terminated[clear])
    return their_terminated


def test_transitions_are_gymnasiums(env):
    states, actions = transitions(env, CASES[env.id], np.random.default_rng(0))
    ends = assert_gymnasium_agrees(env, states, actions)
    assert len(ends) == 2000
    assert ends[:-RESTARTS].any() == CASES[env.id].terminates
    assert ends[-RESTARTS:].any() == CASES[env.id].terminates


@pytest.mark.parametrize("env", [name for name, case in CASES.items() if case.terminates], indirect=True)
def test_episodes_end_exactly_where_gymnasiums_do(env):
    """Bisect between states that end and states that do not, then look at either side of the boundary."""
    case = CASES[env.id]
    rng = np.random.default_rng(1)
    theirs = gymnasium.make(env.id).unwrapped
    low, high = np.array(case.region, np.float32).T
    pool = rng.uniform(low, high, (2000, len(low)))
    action = random_actions(env, case, 1, rng)[0]

    def ends(states):
        return np.array([gymnasium_step(theirs, state, action)[3] for state in states])

    ended = ends(pool)
    pairs = min(50, ended.sum())
    inside, outside = pool[~ended][:pairs], pool[ended][:pairs]
    for _ in range(25):
        middle = (inside + outside) / 2
        end = ends(middle)[:, None]
        inside, outside = np.where(end, inside, middle), np.where(end, middle, outside)
    away = 2e-4 * (high - low) * np.sign(outside - inside)
    states = np.concatenate([inside - away, outside + away]).astype(np.float32)
    found = assert_gymnasium_agrees(env, states, np.repeat(action[None], 2 * pairs, axis=0))
    assert found.any()
    assert not found.all()


@pytest.mark.parametrize(("env", "angles"), [("Acrobot-v1", [0, 1]), ("Pendulum-v1", [0])], indirect=["env"])
def test_angles_stay_within_a_turn(env, angles):
    initial, _, step = vectorised(env)
    state = jax.tree.map(lambda field: 100 * field, initial(keys(64)))
    rng = np.random.default_rng(0)
    for _ in range(10):
        state, _, _ = step(state, random_actions(env, CASES[env.id], 64, rng))
        assert np.abs(columns(state)[:, angles]).max() < np.pi + 1e-6


def test_spaces_are_gymnasiums(env):
    theirs = gymnasium.make(env.id)
    for our_space, their_space in (
        (env.observation_space, theirs.observation_space),
        (env.action_space, theirs.action_space),
    ):
        assert our_space.shape == their_space.shape
        if isinstance(our_space, Box):
            assert our_space.dtype == their_space.dtype
            np.testing.assert_array_equal(our_space.low, their_space.low)
            np.testing.assert_array_equal(our_space.high, their_space.high)
        else:
            assert (our_space.n, our_space.start) == (their_space.n, their_space.start)


def test_time_limit_is_gymnasiums(env):
    assert env.max_episode_steps == gymnasium.spec(env.id).max_episode_steps

    theirs = gymnasium.make(env.id)
    theirs.reset(seed=0)
    theirs.action_space.seed(0)
    start = np.array(theirs.unwrapped.state)
    steps, truncated = 0, False
    while not truncated:
        theirs.unwrapped.state = start.copy()  # one step from the start never terminates
        _, _, terminated, truncated, _ = theirs.step(theirs.action_space.sample())
        assert not terminated
        steps += 1
    assert env.max_episode_steps == steps


def test_first_states_are_distributed_as_gymnasiums(env):
    draws = 10_000
    ours = columns(vectorised(env)[0](keys(draws)))
    env_of_gymnasium = gymnasium.make(env.id).unwrapped
    env_of_gymnasium.reset(seed=0)

    def draw():
        env_of_gymnasium.reset()
        return np.array(env_of_gymnasium.state)

    theirs = np.stack([draw() for _ in range(draws)])
    width = np.ptp(theirs, axis=0)
    np.testing.assert_array_less(np.abs(ours.min(0) - theirs.min(0)), 0.002 * width + 1e-9)
    np.testing.assert_array_less(np.abs(ours.max(0) - theirs.max(0)), 0.002 * width + 1e-9)
    # Both are uniform: a mean of n draws has standard deviation width / √(12 n); five of that, for both.
    np.testing.assert_array_less(np.abs(ours.mean(0) - theirs.mean(0)), 5 * width * np.sqrt(2 / 12 / draws) + 1e-9)
    np.testing.assert_allclose(ours.std(0), theirs.std(0), rtol=0.03)
    varying = ours[:, width > 0]
    correlation = np.atleast_2d(np.corrcoef(varying, rowvar=False))
    np.testing.assert_allclose(correlation, np.eye(varying.shape[1]), atol=0.05)


def test_first_states_depend_on_the_key_alone(env):
    once, again, other = (jax.tree.leaves(env.initial(jax.random.key(seed))) for seed in (3, 3, 4))
    assert once == again
    assert once != other


@pytest.mark.parametrize("x64", [False, True])
def test_everything_is_float32(env, x64):
    with jax.enable_x64(x64):
        key = jax.random.key(0)
        state = env.initial(key)
        action = jnp.zeros(env.action_space.shape, env.action_space.dtype)
        successor, reward, terminated = env.step(key, state, action)
        for leaf in jax.tree.leaves((state, env.observe(state), successor, env.observe(successor), reward)):
            assert leaf.dtype == jnp.float32
            assert not leaf.weak_type
        assert terminated.dtype == jnp.bool_
        assert reward.shape == terminated.shape == ()
        assert env.observe(state).shape == env.observation_space.shape


def test_observations_lie_in_their_space(env):
    case = CASES[env.id]
    initial, observe, _ = vectorised(env)
    low, high = np.array(case.region, np.float32).T
    states = np.random.default_rng(2).uniform(low, high, (100_000, len(low))).astype(np.float32)
    structure = jax.tree.structure(initial(keys(1)))
    observation = np.asarray(observe(jax.tree.unflatten(structure, list(jnp.asarray(states.T)))))
    assert np.all(observation >= env.observation_space.low)
    assert np.all(observation <= env.observation_space.high)


def test_a_step_is_traced_once(env):
    traces = 0
    key = jax.random.key(0)

    @jax.jit
    def step(state, action):
        nonlocal traces
        traces += 1
        return jax.vmap(lambda state, action: env.step(key, state, action))(state, action)[0]

    state = vectorised(env)[0](keys(64))
    rng = np.random.default_rng(0)
    for _ in range(5):
        state = step(state, random_actions(env, CASES[env.id], 64, rng))
    assert traces == 1


def test_the_constants_may_be_traced(env):
    key = jax.random.key(0)
    state = env.initial(key)
    action = jnp.zeros(env.action_space.shape, env.action_space.dtype)
    constant = env.step(key, state, action)
    traced = jax.jit(lambda env, state: env.step(key, state, action))(env, state)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-5), constant, traced)


def test_the_list_of_compiled_environments_is_complete():
    assert set(COMPILED) == set(CASES) | {"Catch-v0", "MaskedCartPole-v0", "TMaze-v0"}  # test_hidden_and_seen.py
    assert all(compiled(name).id == name for name in COMPILED)
    assert compiled("Ant-v5") is None


def test_listing_does_not_start_jax():
    program = "import sys, steepest.envs as envs; assert envs.COMPILED; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
