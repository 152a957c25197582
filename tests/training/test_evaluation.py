"""Evaluation where episodes need not end."""

from typing import ClassVar

import gymnasium
import jax
import numpy as np
import pytest
from worlds import Match

import steepest
from steepest.core.spaces import Spec
from steepest.envs.tasks import resolve
from steepest.experiments.evaluating import evaluate_agent

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


@pytest.mark.parametrize(
    ("limit", "given", "lasts", "cut"),
    [(None, None, 1000, 3), (None, STEPS, STEPS, 3), (5, STEPS, 5, 0), (5, 3, 3, 3), (5, 5, 5, 0), (5, None, 5, 0)],
)
def test_an_episode_that_need_not_end_is_cut_and_counted(player, limit, given, lasts, cut):
    env = type("Limit", (Endless,), {"max_episode_steps": limit})()
    told = []
    played = evaluate_agent(
        *player[:1], resolve(env), player[1], 0, episodes=3, steps=given, heard=lambda *each: told.append(each)
    )
    np.testing.assert_array_equal(played.returns, [lasts] * 3)
    assert played.truncated.sum() == cut
    assert (told[0], told[-1]) == ((0, 0), (3, cut))


@pytest.fixture
def lasting():
    Lasting.made = -1  # the first is made to see what it is
    return resolve(lambda: Lasting())


def test_every_environment_on_the_host_plays_its_episodes_though_some_are_cut(player, lasting):
    told = []
    played = evaluate_agent(
        player[0], lasting, player[1], 0, episodes=20, steps=STEPS, heard=lambda *each: told.append(each)
    )
    # Sixteen environments, five of which end by themselves; the first four play twice.
    np.testing.assert_array_equal(np.sort(played.returns), [2] * 6 + [STEPS] * 14)
    np.testing.assert_array_equal(played.truncated, played.returns == STEPS)
    assert (told[0], told[1], told[-1]) == ((0, 0), (5, 0), (20, 14))


def test_it_can_be_interrupted_on_the_host(player, lasting):
    asked = iter([False] * 5 + [True])
    found = evaluate_agent(player[0], lasting, player[1], 0, episodes=4, stop=lambda: next(asked))
    assert found is None
