"""Pictures of the compiled environments: where what they show stands, and that it moves as the state does."""

import jax
import numpy as np
import pytest

from steepest.envs import COMPILED, compiled
from steepest.envs.acrobot import Acrobot, AcrobotState
from steepest.envs.cart_pole import CartPole, CartPoleState
from steepest.envs.limited import Limited
from steepest.envs.mountain_car import MountainCar, MountainCarState
from steepest.envs.mountain_car_continuous import MountainCarContinuous
from steepest.envs.pendulum import Pendulum, PendulumState

WARM, COOL, DARK = (217, 119, 63), (62, 142, 158), (40, 52, 74)


def places(picture, colour):
    """Across and down of the pixels of a colour, as shares of the picture."""
    found = np.argwhere(np.abs(picture.astype(int) - colour).max(axis=-1) < 12)
    assert len(found)
    return found[:, 1] / picture.shape[1], found[:, 0] / picture.shape[0]


def numbers(*values):
    return [np.float32(each) for each in values]


def draw(env, kind, *state, action=None):
    return env.draw(kind(*numbers(*state)), None if action is None else np.asarray(action))


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_environment_draws_itself_in_bytes(name):
    env = compiled(name)
    first = env.initial(jax.random.key(0))
    pictures = [
        env.draw(jax.tree.map(np.asarray, first), action) for action in (None, np.zeros(env.action_space.shape))
    ]
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
        assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
        assert 100 < picture.mean() < 250
    assert 10 <= env.render_fps <= 60
    limited = Limited(env, 7)
    np.testing.assert_array_equal(limited.draw(first, None), pictures[0])
    assert limited.render_fps == env.render_fps


def test_the_pole_stands_above_the_cart_and_leans_to_where_it_falls():
    across, down = places(draw(CartPole(), CartPoleState, 0, 0, 0.2, 0), WARM)
    cart = places(draw(CartPole(), CartPoleState, 0, 0, 0.2, 0), DARK)
    assert down.mean() < cart[1].mean()  # the upper row comes first
    top = across[down < np.quantile(down, 0.1)].mean()
    assert top > across[down > np.quantile(down, 0.9)].mean() + 0.02
    moved = places(draw(CartPole(), CartPoleState, 1, 0, 0, 0), DARK)
    assert moved[0].mean() - cart[0].mean() == pytest.approx(1 / 6, abs=0.01)  # six metres are seen


@pytest.mark.parametrize(("action", "side"), [(0, -1), (1, 1)])
def test_the_push_points_to_where_it_goes(action, side):
    across, _ = places(draw(CartPole(), CartPoleState, 0, 0, 0, 0, action=action), COOL)
    assert np.sign(across.mean() - 0.5) == side


def test_the_acrobot_hangs_down_and_reaches_the_line_when_it_is_up():
    picture = draw(Acrobot(), AcrobotState, 0, 0, 0, 0)
    assert places(picture, WARM)[1].min() > 0.85  # the tip
    assert places(picture, DARK)[1].mean() > 0.5
    across, down = places(draw(Acrobot(), AcrobotState, np.pi / 2, 0, 0, 0), WARM)
    assert across.mean() > 0.7
    assert abs(down.mean() - 0.5) < 0.02
    goal = (79, 157, 93)
    hanging, up = (len(places(draw(Acrobot(), AcrobotState, angle, 0, 0, 0), goal)[0]) for angle in (0, np.pi))
    assert up > hanging + 100  # a tip above the line has its colour


def test_the_pendulum_stands_up_at_angle_0_and_turns_counter_clockwise():
    assert places(draw(Pendulum(), PendulumState, 0, 0), WARM)[1].max() < 0.56
    assert places(draw(Pendulum(), PendulumState, np.pi, 0), WARM)[1].min() > 0.44
    assert places(draw(Pendulum(), PendulumState, 0.5, 0), WARM)[0].mean() < 0.5


@pytest.mark.parametrize("env", [MountainCar(), MountainCarContinuous()], ids=["choices", "throttle"])
def test_the_car_climbs_to_the_right_of_the_valley(env):
    low, high = (places(draw(env, MountainCarState, position, 0), WARM) for position in (-np.pi / 6, env.goal_position))
    assert low[0].mean() < high[0].mean()
    assert low[1].mean() > 0.75  # down in the valley
    assert high[1].mean() < 0.25
    action = {"choices": 2, "throttle": np.float32([1])}["choices" if isinstance(env, MountainCar) else "throttle"]
    push = places(draw(env, MountainCarState, -np.pi / 6, 0, action=action), COOL)
    assert push[0].mean() > low[0].mean()
