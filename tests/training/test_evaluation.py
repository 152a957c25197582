"""Evaluation where episodes need not end."""

from typing import ClassVar

import gymnasium
import jax
import numpy as np
import pytest
from worlds import Match

import steepest
from steepest.core.spaces import Spec
from steepest.envs.adapters.gymnasium import make
from steepest.training import evaluation

KEY = jax.random.key(0)
STEPS = 7


class Endless(Match):
    """Nobody ends its episodes."""

    max_episode_steps: ClassVar[int | None] = None

    @property
    def observation_space(self):
        return super().observation_space

    @property
    def action_space(self):
        return super().action_space

    def step(self, key, state, action):
        state, reward, over = super().step(key, state, action)
        return state, 0 * reward + 1, over


class Lasting(gymnasium.Env):
    """The same, on the host; every third environment ends after two steps."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-2.0, 2.0, (2,), np.float32)
    made = 0

    def __init__(self):
        self._short, self._time = Lasting.made % 3 == 2, 0
        Lasting.made += 1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._time = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self._time += 1
        return np.zeros(2, np.float32), 1.0, self._short and self._time == 2, False, {}


@pytest.fixture(scope="module")
def player():
    env = Match()
    algorithm = steepest.PPO(hidden=()).build(Spec(env.observation_space, env.action_space, 4, 1))
    return algorithm, algorithm.init(KEY)


def test_a_compiled_episode_without_an_end_is_given_up(player, monkeypatch):
    monkeypatch.setattr(evaluation, "UNENDING", STEPS)
    returns = evaluation.evaluate_compiled(player[0], Endless(), player[1], KEY, episodes=3)
    np.testing.assert_array_equal(returns, [STEPS] * 3)


def test_a_time_limit_is_the_only_end_where_there_is_one(player, monkeypatch):
    monkeypatch.setattr(evaluation, "UNENDING", 1)
    returns = evaluation.evaluate_compiled(player[0], type("Short", (Endless,), {"max_episode_steps": 5})(), player[1],
                                           KEY, episodes=3)  # fmt: skip
    np.testing.assert_array_equal(returns, [5] * 3)


@pytest.fixture
def lasting():
    Lasting.made = 0
    env = make(lambda: Lasting(), num_envs=3, seed=0)
    yield env
    env.close()


def test_an_episode_on_the_host_without_an_end_is_given_up(player, lasting, monkeypatch):
    monkeypatch.setattr(evaluation, "UNENDING", STEPS)
    returns = evaluation.evaluate_host(player[0], lasting, player[1], KEY, episodes=4)
    assert returns is not None
    assert sorted(returns) == [2, STEPS, STEPS]  # the fourth, of an environment that is busy, never began


def test_it_can_be_interrupted_on_the_host(player, lasting):
    asked = iter([False] * 5 + [True])
    assert evaluation.evaluate_host(player[0], lasting, player[1], KEY, episodes=4, stop=lambda: next(asked)) is None
