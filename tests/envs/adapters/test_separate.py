"""What Gymnasium's environments may do without being refused, and what is said of one that raises."""

import inspect

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from steepest.core.errors import EnvironmentFault
from steepest.envs.adapters.gymnasium import make

PLANE = spaces.Box(-1.0, 1.0, (2,), np.float32)
ORIGIN = np.zeros(2, np.float32)


class Plain(gymnasium.Env):
    """Pays 1 for each step, and ends after three."""

    observation_space, action_space = PLANE, spaces.Discrete(2)

    def __init__(self):
        self.time, self.begun, self.stepped, self.seeds = 0, 0, 0, []

    def reset(self, *, seed=None, options=None):
        self.time, self.begun = 0, self.begun + 1
        self.seeds.append(seed)
        return ORIGIN, {}

    def step(self, action):
        self.time, self.stepped = self.time + 1, self.stepped + 1
        return ORIGIN, 1.0, self.time == 3, False, {}


def several(kind, count=2, seed=0):
    """The environments behind the adapter, and each by itself."""
    each = [kind() for _ in range(count)]
    left = iter(each)
    return make(lambda: next(left), num_envs=count, seed=seed), each


def stepped(env, action=None):
    env.send(np.zeros((env.num_envs, *env.action_space.shape), np.int32) if action is None else np.asarray(action))
    return env.receive()


# What is nobody's business


class MixedInfos(Plain):
    """Keys whose values are now a number, now an array, now None; and now no infos at all."""

    def step(self, action):
        obs, reward, *ends, _ = super().step(action)
        kinds = {"a": 1}, {"a": "b"}, {"a": np.zeros(2), "final_obs": 3}, None
        return obs, reward, *ends, kinds[self.stepped % 4]


class AskedForOptions(Plain):
    """Cannot begin with options."""

    def reset(self, *, seed=None, options=None):
        if options is not None:
            raise ValueError("no such option")
        return super().reset(seed=seed)[0], None


class SmallSeeds(Plain):
    """Draws with a generator whose seeds are 32-bit numbers with a sign."""

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            assert type(seed) is int
            np.array([0], np.int32)[0] = seed  # raises where it does not fit
        return super().reset(seed=seed)


@pytest.mark.parametrize("kind", [MixedInfos, AskedForOptions, SmallSeeds])
def test_an_environment_that_works_is_not_refused(kind):
    for seed in range(8):
        env, each = several(kind, 4, seed)
        env.reset()
        rewards = [stepped(env).reward.sum() for _ in range(7)]
        assert sum(rewards) == 28
        assert all(one.begun == 3 for one in each)
        env.close()


def test_seeds_are_those_of_the_first_reset_alone_and_all_differ():
    env, each = several(Plain, 4)
    env.reset()
    env.reset()
    assert all(one.seeds[1:] == [None] for one in each)
    assert len({one.seeds[0] for one in each}) == 4
    assert all(0 <= one.seeds[0] < 2**31 for one in each)


# Resting


def test_an_environment_that_has_played_its_episodes_rests():
    env, each = several(Plain, 3)
    env.reset(np.array([1, 2, 0]))
    steps = [stepped(env) for _ in range(8)]
    assert [one.stepped for one in each] == [3, 6, 0]
    assert [one.begun for one in each] == [1, 2, 1]  # nor is another episode begun
    np.testing.assert_array_equal([step.valid for step in steps], [[time < 3, time < 6, False] for time in range(8)])
    np.testing.assert_array_equal(sum(step.reward for step in steps), [3, 6, 0])
    env.reset()
    assert all(stepped(env).valid)


# Closing


class Stubborn(Plain):
    def close(self):
        raise AttributeError("no viewer")


def test_an_environment_that_cannot_be_closed_is_warned_of_and_the_others_are_closed():
    closed = []

    class Closing(Plain):
        def close(self):
            closed.append(self)

    each = [Stubborn(), Closing(), Stubborn()]
    left = iter(each)
    env = make(lambda: next(left), num_envs=3, seed=0)
    with pytest.warns(
        RuntimeWarning, match=r"^<lambda>: close raised AttributeError: no viewer\. The results"
    ) as heard:
        env.close()
    assert (len(heard), closed) == (2, [each[1]])


# What raises


class Raising(Plain):
    """Asserts what does not hold, in the second step of the first episode."""

    action_space = spaces.Box(-0.5, 0.5, (2,), np.float64)

    def step(self, action):
        if self.stepped == 1:
            self._check(action)
        return super().step(action)

    def _check(self, action):
        raise AssertionError  # without a word


def test_an_environment_that_raises_is_told_with_step_action_and_place():
    env, _ = several(Raising)
    env.reset()
    stepped(env, [[0.0, 0.0]] * 2)
    with pytest.raises(EnvironmentFault) as caught:
        stepped(env, [[0.25, -7.0]] * 2)
    source, first = inspect.getsourcelines(Raising._check)
    place = f"{__file__}:{first + len(source) - 1} (raise AssertionError  # without a word)"
    assert str(caught.value) == (
        f"<lambda> raised AssertionError, at {place}, in step 2 of an episode of environment 0, with action "
        "[0.25, -0.5]. Correct the environment."
    )
    assert isinstance(caught.value.__cause__, AssertionError)


def test_the_place_is_in_the_users_code_though_a_library_raised():
    class Careless(Plain):
        def step(self, action):
            np.linalg.inv(np.zeros((2, 2)))

    env = make(lambda: gymnasium.wrappers.TimeLimit(Careless(), 5), num_envs=1, seed=0)
    env.reset()
    with pytest.raises(
        EnvironmentFault, match=rf"LinAlgError: Singular matrix, at {__file__}:\d+ \(np.linalg.inv"
    ) as caught:
        stepped(env)
    assert "with action 0" in str(caught.value)


def test_a_reset_that_raises_is_told_too():
    class Unready(Plain):
        def reset(self, *, seed=None, options=None):
            raise RuntimeError("no\nlevel.")

    env, _ = several(Unready)
    with pytest.raises(EnvironmentFault, match=rf"raised RuntimeError: no level, at {__file__}:\d+ .*in reset of env"):
        env.reset()


def test_a_long_action_is_shortened():
    class Wide(Raising):
        action_space = spaces.Box(-0.5, 0.5, (30,), np.float32)

    env, _ = several(Wide)
    env.reset()
    stepped(env, np.zeros((2, 30)))
    with pytest.raises(EnvironmentFault, match=r"with action \[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, …\]\."):
        stepped(env, np.full((2, 30), 0.1, np.float32))


FIVE = r"Correct the environment: step must return five values: .* What was called done is one of the two in the middle"
TWO = "Correct the environment: reset must return two values, an observation and a dictionary"


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("method", "answer", "message"),
    [
        ("step", (ORIGIN, 0.0, False, {}), FIVE),
        ("step", None, FIVE),
        ("step", (ORIGIN, 0.0, False, False, {}, {}), FIVE),
        ("reset", ORIGIN[:1], TWO),
        ("reset", (ORIGIN, {}, {}), TWO),
    ],
)
def test_an_answer_of_the_wrong_length_is_told_with_the_right_one(method, answer, message, wrapped, monkeypatch):
    monkeypatch.setattr(Plain, method, lambda *_, **__: answer)
    kind = (lambda: gymnasium.wrappers.TimeLimit(Plain(), 5)) if wrapped else Plain
    env, _ = several(kind)
    with pytest.raises(EnvironmentFault, match=message) as caught:  # noqa: PT012
        env.reset()
        stepped(env)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [None, np.zeros(2, bool), "no"])
def test_an_end_is_true_or_false(value, monkeypatch):
    monkeypatch.setattr(Plain, "step", lambda *_: (ORIGIN, 0.0, value, False, {}))
    env, _ = several(Plain)
    env.reset()
    with pytest.raises(EnvironmentFault, match=r"terminated is .*; it must be True or False\. Correct"):
        stepped(env)


def test_numbers_of_any_kind_are_numbers(monkeypatch):
    for reward in (1, np.float64(1.0), np.int8(1), np.array(1.0), True, np.True_):
        monkeypatch.setattr(Plain, "step", lambda *_, reward=reward: (ORIGIN, reward, np.False_, 0, {}))
        env, _ = several(Plain)
        env.reset()
        np.testing.assert_array_equal(stepped(env).reward, 1)
