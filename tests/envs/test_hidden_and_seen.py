"""The compiled environments that Gymnasium does not have: each against its rules, written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vectorised import vectorised

from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete, MultiBinary
from steepest.envs import compiled
from steepest.envs.cart_pole import CartPole, CartPoleState
from steepest.envs.catch import Catch, CatchState
from steepest.envs.masked_cart_pole import MaskedCartPole
from steepest.envs.t_maze import TMaze, TMazeState

NORTH, EAST, SOUTH, WEST = range(4)
NAMES = ("Catch-v0", "MaskedCartPole-v0", "TMaze-v0")


def keys(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


@pytest.fixture(params=NAMES)
def env(request):
    return compiled(request.param)


# All of them


@pytest.mark.parametrize("x64", [False, True])
def test_types_and_shapes_are_those_of_the_spaces(env, x64):
    with jax.enable_x64(x64):
        state = env.initial(jax.random.key(0))
        successor, reward, terminated = env.step(jax.random.key(0), state, jnp.ones((), env.action_space.dtype))
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), successor
        )
        assert not any(leaf.weak_type for leaf in jax.tree.leaves((state, successor, reward)))
        for observation in (env.observe(state), env.observe(successor)):
            assert (observation.shape, observation.dtype) == (env.observation_space.shape, env.observation_space.dtype)
        assert (reward.shape, reward.dtype) == ((), jnp.float32)
        assert (terminated.shape, terminated.dtype) == ((), jnp.bool_)


def test_first_states_depend_on_the_key_alone(env):
    first, again, other = (env.initial(jax.random.key(seed)) for seed in (3, 3, 2))
    assert first == again
    assert first != other


def test_the_constants_may_be_traced(env):
    state, action = env.initial(jax.random.key(0)), jnp.ones((), jnp.int32)
    outcome = jax.jit(lambda env: env.step(jax.random.key(0), state, action))(env)
    jax.tree.map(np.testing.assert_allclose, outcome, env.step(jax.random.key(0), state, action))


# CartPole without velocities


def test_masked_cart_pole_is_cart_pole_of_which_the_velocities_are_hidden():
    whole, masked = CartPole(), MaskedCartPole()
    rng = np.random.default_rng(0)
    state = CartPoleState(*jnp.asarray(rng.uniform(-0.3, 0.3, (4, 200)), jnp.float32))
    action = jnp.asarray(rng.integers(2, size=200), jnp.int32)
    for ours, theirs in zip(vectorised(masked)[2](state, action), vectorised(whole)[2](state, action), strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    seen = np.asarray(vectorised(masked)[1](state))
    np.testing.assert_array_equal(seen, np.stack([state.position, state.angle], axis=1))
    faster = state._replace(velocity=state.velocity + 1, angular_velocity=state.angular_velocity - 1)
    np.testing.assert_array_equal(seen, vectorised(masked)[1](faster))
    assert masked.max_episode_steps == 500
    assert masked.action_space == Discrete(2)
    assert masked.observation_space == Box(whole.observation_space.low[[0, 2]], whole.observation_space.high[[0, 2]])
    assert MaskedCartPole(gravity=5.0).gravity == 5.0


# T-maze


def maze_step(length, position, north, action):
    """Cell by cell, as the paper tells it: the successor's cell, the reward, whether the episode is over."""
    if action in (NORTH, SOUTH):
        if position != length:
            return position, -0.1, False
        return position, 4.0 if (action == NORTH) == north else -0.1, True
    wanted = position + 1 if action == EAST else position - 1
    return (wanted, 0.0, False) if 0 <= wanted <= length else (position, -0.1, False)


def maze_sight(length, position, north):
    if position == 0:
        return [0, 1, 1] if north else [1, 1, 0]
    return [0, 1, 0] if position == length else [1, 0, 1]


@pytest.mark.parametrize("length", [1, 2, 10])
def test_every_transition_of_the_maze_is_the_papers(length):
    _, observe, step = vectorised(TMaze(length=length))
    rows = [(p, n, a) for p in range(length + 1) for n in (False, True) for a in range(4)]
    position, north, action = (np.array(each) for each in zip(*rows, strict=True))
    state = TMazeState(jnp.asarray(position, jnp.int32), jnp.asarray(north))
    successor, reward, terminated = step(state, jnp.asarray(action, jnp.int32))
    cells, rewards, ends = zip(*(maze_step(length, *row) for row in rows), strict=True)
    np.testing.assert_array_equal(successor.position, cells)
    np.testing.assert_array_equal(successor.goal_north, north)
    np.testing.assert_array_equal(reward, np.float32(rewards))
    np.testing.assert_array_equal(terminated, ends)
    np.testing.assert_array_equal(observe(state), [maze_sight(length, p, n) for p, n, _ in rows])


def test_only_the_start_of_the_maze_tells_the_sides_apart():
    _, observe, _ = vectorised(TMaze(length=10))
    position = jnp.arange(11, dtype=jnp.int32)
    north, south = (np.asarray(observe(TMazeState(position, jnp.full(11, side)))) for side in (True, False))
    np.testing.assert_array_equal((north != south).any(axis=1), [True] + [False] * 10)
    np.testing.assert_array_equal(north[1:10], north[1:2].repeat(9, axis=0))


def test_the_way_to_the_goal_earns_four_and_the_goal_is_anywhere():
    env = TMaze(length=3)
    initial, _, step = vectorised(env)
    state = initial(keys(2000))
    assert not np.any(state.position)
    north = np.asarray(state.goal_north)
    assert abs(north.mean() - 0.5) < 0.05
    turn = np.where(north, NORTH, SOUTH)
    total = np.zeros(2000)
    for action in (np.full(2000, EAST), np.full(2000, EAST), np.full(2000, EAST), turn):
        state, reward, terminated = step(state, jnp.asarray(action, jnp.int32))
        total += reward
        assert np.all(np.asarray(terminated) == (action is turn))
    np.testing.assert_allclose(total, 4)


def test_the_maze_is_as_long_as_it_is_told():
    env = TMaze(length=20)
    assert (env.max_episode_steps, TMaze().length, TMaze().max_episode_steps) == (210, 10, 110)
    assert (env.observation_space, env.action_space) == (MultiBinary(3), Discrete(4))
    for length in (0, -1):
        with pytest.raises(InputError, match=rf"^length is {length}; it must be a whole number and at least 1\. 10 is"):
            TMaze(length=length)


# Catch


def caught(rows, columns, ball, moves):
    """The pictures and rewards of an episode, until the ball is down."""
    board, paddle = np.zeros((rows, columns), np.uint8), columns // 2
    board[0, ball] = board[rows - 1, paddle] = 255
    pictures, rewards = [board], []
    for row, move in enumerate(moves, start=1):
        paddle = min(max(paddle + (-1, 0, 1)[move], 0), columns - 1)
        board = np.zeros((rows, columns), np.uint8)
        board[row, ball] = board[rows - 1, paddle] = 255
        pictures.append(board)
        rewards.append(0.0 if row < rows - 1 else 1.0 if paddle == ball else -1.0)
    return np.array(pictures)[..., None], rewards


@pytest.mark.parametrize(("rows", "columns"), [(10, 10), (4, 3), (2, 2)])
def test_episodes_of_catch_are_those_of_its_rules(rows, columns):
    env = Catch(rows=rows, columns=columns)
    _, observe, step = vectorised(env)
    count = 100
    rng = np.random.default_rng(0)
    ball, moves = rng.integers(columns, size=count), rng.integers(3, size=(count, rows - 1))
    moves[:9] = np.arange(9)[:, None] % 3  # against either wall
    state = CatchState(
        jnp.zeros(count, jnp.int32), jnp.asarray(ball, jnp.int32), jnp.full(count, columns // 2, jnp.int32)
    )
    pictures, rewards, ends = [observe(state)], [], []
    for move in moves.T:
        state, reward, terminated = step(state, jnp.asarray(move, jnp.int32))
        pictures.append(observe(state))
        rewards.append(reward)
        ends.append(terminated)
    wanted_pictures, wanted_rewards = zip(
        *(caught(rows, columns, *row) for row in zip(ball, moves, strict=True)), strict=True
    )
    np.testing.assert_array_equal(np.stack(pictures, axis=1), np.array(wanted_pictures))
    np.testing.assert_array_equal(np.stack(rewards, axis=1), np.array(wanted_rewards))
    np.testing.assert_array_equal(np.stack(ends, axis=1), np.arange(1, rows) == np.full((count, 1), rows - 1))
    assert {-1.0, 1.0} <= set(np.array(wanted_rewards).ravel())


def test_the_ball_starts_anywhere_and_can_always_be_caught():
    env = Catch()
    initial, _, step = vectorised(env)
    state = initial(keys(5000))
    first = np.asarray(state.ball_column)
    np.testing.assert_allclose(np.bincount(first, minlength=10) / 5000, 0.1, atol=0.02)
    assert np.all(state.ball_row == np.array(0))
    assert np.all(state.paddle_column == np.array(5))
    total = np.zeros(5000)
    for _ in range(env.max_episode_steps or 0):
        state, reward, terminated = step(state, 1 + jnp.sign(state.ball_column - state.paddle_column))
        total += reward
    assert np.all(total == 1)
    assert np.all(terminated)


def test_the_picture_of_catch_is_of_bytes_with_one_channel():
    assert Catch().observation_space == Box(0, 255, (10, 10, 1), dtype=np.uint8)
    assert (Catch(rows=6).max_episode_steps, Catch().max_episode_steps, Catch().action_space) == (5, 9, Discrete(3))
    for name, given in (("rows", {"rows": 1}), ("columns", {"columns": 0})):
        with pytest.raises(InputError, match=rf"^{name} is {given[name]}; it must be a whole number and at least 2\."):
            Catch(**given)
