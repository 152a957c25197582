"""Gymnasium's environments from inside steepest: spaces, actions, seeds, faults, and no noise."""

import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from steepest.core.conversion import to_environment
from steepest.core.errors import EnvironmentFault, InputError
from steepest.core.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from steepest.envs.adapters.gymnasium import make, without_noise
from steepest.envs.adapters.gymnasium_spaces import from_gymnasium
from steepest.networks.heads import make_head


class Echo(gymnasium.Env):
    """Observes what it is given, one after the other, and notes the actions it receives."""

    def __init__(self, observation_space, observations, action_space=None, rewards=None):
        self.observation_space = observation_space
        self.action_space = action_space or spaces.Discrete(2)
        self._observations, self._rewards, self._time = observations, rewards or [0.0], 0
        self.received = []

    def _next(self):
        self._time += 1
        return self._observations[min(self._time, len(self._observations)) - 1]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._next(), {}

    def step(self, action):
        self.received.append(action)
        obs = self._next()
        return obs, self._rewards[min(self._time - 2, len(self._rewards) - 1)], False, False, {}


def echo(*arguments, **named):
    """One environment that echoes, behind the adapter."""
    return make(lambda: Echo(*arguments, **named), num_envs=1, seed=0)


def stepped(env, action):
    env.send(np.asarray(action))
    return env.receive()


PLANE = spaces.Box(-1.0, 1.0, (2,), np.float32)
ORIGIN = np.zeros(2, np.float32)


def receiving(action_space):
    """The adapter, and the list of actions that its environment receives."""
    inner = Echo(PLANE, [ORIGIN], action_space)
    return make(lambda: inner, num_envs=1, seed=0), inner.received


# Spaces


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (spaces.Discrete(3), Discrete(3)),
        (spaces.Discrete(3, start=-1), Discrete(3, -1)),
        (spaces.MultiDiscrete([2, 5]), MultiDiscrete((2, 5))),
        (spaces.MultiBinary(4), MultiBinary(4)),
        (spaces.MultiBinary([4]), MultiBinary(4)),
        (spaces.Box(-1.0, np.array([1.0, 2.0]), (2,), np.float64), Box(-1.0, np.array([1.0, 2.0]), (2,))),
        (spaces.Box(-np.inf, np.inf, (2, 3), np.float32), Box(-np.inf, np.inf, (2, 3))),
        (spaces.Box(0, 255, (4, 4, 1), np.uint8), Box(0.0, 255.0, (4, 4, 1), dtype=np.uint8)),
        # Bounds that float32 cannot tell from having none
        (spaces.Box(np.float64([-3.5e38]), np.float64([1e300]), dtype=np.float64), Box(-np.inf, np.inf, (1,))),
        # A component that never changes
        (spaces.Box(np.float32([0.0, -1.0]), np.float32([0.0, 1.0])), Box([-np.inf, -1.0], [np.inf, 1.0])),
    ],
)
def test_an_observation_space_is_the_same_in_our_words(theirs, ours):
    found = from_gymnasium("observation", theirs)
    assert found == ours
    assert found.shape == theirs.shape


@pytest.mark.parametrize(
    ("space", "name", "wrapper"),
    [
        (spaces.Text(5), "Text", "FlattenObservation"),
        (spaces.MultiDiscrete([[2, 2], [3, 3]]), r"MultiDiscrete of shape \(2, 2\)", "FlattenObservation"),
        (spaces.MultiBinary([2, 3]), r"MultiBinary of shape \(2, 3\)", "FlattenObservation"),
        (spaces.Sequence(spaces.Discrete(2)), "Sequence", "TransformObservation"),
    ],
)
def test_other_spaces_are_refused_with_a_remedy_that_works(space, name, wrapper):
    for role, remedy in ("observation", wrapper), ("action", "TransformAction"):
        with pytest.raises(InputError, match=rf"^{role} space is a {name}; .* wrapper: .*gymnasium.wrappers.{remedy}"):
            from_gymnasium(role, space)
    remedy = getattr(gymnasium.wrappers, wrapper)
    arguments = () if wrapper == "FlattenObservation" else (lambda _: ORIGIN, PLANE)
    env = make(lambda: remedy(Echo(space, [space.sample()]), *arguments), num_envs=2, seed=0)
    assert stepped(env, env.reset()[:, 0] * 0).obs.shape == (2, *env.observation_space.shape)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Box(-1.0, 1.0, (0,)), r"is a Box of shape \(0,\); it has no component. Give it one that is always 0"),
        (spaces.MultiDiscrete([]), r"is a MultiDiscrete of shape \(0,\); it has no component"),
        (None, "is missing; it must be one of gymnasium.spaces. Set self.observation_space"),
        ((4,), "is a tuple; it must be one of gymnasium.spaces"),
    ],
)
def test_a_space_without_a_component_or_of_no_kind_is_refused(space, message):
    with pytest.raises(InputError, match=f"^observation space {message}"):
        make(lambda: Echo(space, [ORIGIN]), num_envs=1, seed=0)


def test_an_environment_with_such_a_space_is_refused_and_closed():
    closed = []

    class Keyed(Echo):
        def close(self):
            closed.append(True)

    with pytest.raises(InputError, match="observation space is a Text"):
        make(lambda: Keyed(spaces.Text(5), ["a"]), num_envs=2, seed=0)
    assert closed == [True, True]


def test_action_bounds_stand_in_for_missing_ones_only():
    space = spaces.Box(np.array([-np.inf, -1.0]), np.array([np.inf, np.inf]), dtype=np.float64)
    assert from_gymnasium("action", space, (-3.0, 2.0)) == Box([-3.0, -1.0], [2.0, 2.0])
    assert from_gymnasium("action", space, (None, 2.0)) == Box([-np.inf, -1.0], [2.0, 2.0])
    unbounded = from_gymnasium("action", space)
    with pytest.raises(InputError, match=r"a Box without finite bounds.*--action-low and --action-high"):
        make_head(unbounded)
    make_head(from_gymnasium("action", space, (-3.0, 2.0)))


def test_bounds_in_the_wrong_order_are_refused_with_the_component():
    space = spaces.Box(np.array([0.0, -1.0]), np.array([1.0, np.inf]), dtype=np.float64)
    with pytest.raises(InputError, match=r"component \[1\] lies between -1 and -5; .* action_low and action_high"):
        from_gymnasium("action", space, (None, -5.0))


# Actions


def test_actions_are_clipped_here_in_the_type_that_the_environment_takes():
    bounds = np.array([-1.0, -2.0]), np.array([1.0, 0.5])
    env, received = receiving(spaces.Box(*bounds, dtype=np.float64))
    env.reset()
    action = np.array([[-7.0, 0.25]], np.float32)
    stepped(env, action)
    stepped(env, -action)
    np.testing.assert_array_equal(received, [[-1.0, 0.25], [1.0, -0.25]])
    assert received[0].dtype == np.float64
    np.testing.assert_array_equal(action, [[-7.0, 0.25]])


@pytest.mark.parametrize(
    ("space", "action", "expected"),
    [
        (spaces.Discrete(3), 2, 2),
        (spaces.Discrete(3, start=5), 2, 7),
        (spaces.Discrete(3, start=-1), 0, -1),
        (spaces.MultiDiscrete([2, 3], start=[10, -3]), [1, 2], [11, -1]),
        (spaces.MultiBinary(3), [1, 0, 1], [1, 0, 1]),
        (spaces.Box(0, 10, (2,), np.int32), [3.7, 9.6], [4, 10]),
    ],
)
def test_choices_are_counted_from_where_the_environment_begins(space, action, expected):
    env, received = receiving(space)
    env.reset()
    stepped(env, np.array([action]))
    np.testing.assert_array_equal(received[0], expected)
    assert space.contains(received[0])


def test_an_action_that_is_not_a_number_is_not_clipped_away():
    space = from_gymnasium("action", PLANE)
    assert np.isnan(to_environment(space, np.array([[np.nan, 0.0]], np.float32))[0, 0])


# Observations


@pytest.mark.parametrize(
    ("space", "observation", "expected", "dtype"),
    [
        (spaces.Discrete(4, start=3), 5, 2, np.int32),
        (spaces.MultiDiscrete([2, 3], start=[10, -3]), np.array([11, -1]), [1, 2], np.int32),
        (spaces.MultiBinary(3), np.array([1, 0, 1], np.int8), [1, 0, 1], np.int32),
        (spaces.Box(-1, 1, (2,), np.float64), np.array([0.1, -0.2]), np.float32([0.1, -0.2]), np.float32),
        (
            spaces.Box(0, 255, (2, 2, 1), np.uint8),
            np.full((2, 2, 1), 200, np.uint8),
            np.full((2, 2, 1), 200),
            np.uint8,
        ),
        (spaces.Box(-1, 1, (), np.float32), np.float32(0.5), 0.5, np.float32),
    ],
)
def test_observations_come_in_our_numbers_and_types(space, observation, expected, dtype):
    env = echo(space, [observation])
    for obs in (env.reset(), stepped(env, [0]).obs, stepped(env, [1]).next_obs):
        np.testing.assert_array_equal(obs[0], expected)
        assert (obs.dtype, obs.shape) == (dtype, (1, *env.observation_space.shape))


class Overwriting(gymnasium.Env):
    """Counts to 3 in one array that it overwrites."""

    observation_space, action_space = PLANE, spaces.Discrete(2)

    def __init__(self):
        self._place = np.zeros(2, np.float32)

    def reset(self, *, seed=None, options=None):
        self._place[:] = 0
        return self._place, {}

    def step(self, action):
        self._place += 1
        return self._place, 1.0, False, bool(self._place[0] == 3), {}


def test_a_last_observation_that_the_environment_overwrites_was_kept():
    env = make(Overwriting, num_envs=2, seed=0)
    env.reset()
    steps = [stepped(env, [0, 0]) for _ in range(4)]
    np.testing.assert_array_equal([step.next_obs[1, 0] for step in steps], [1, 2, 3, 1])
    np.testing.assert_array_equal([step.obs[1, 0] for step in steps], [1, 2, 0, 1])
    assert all(step.valid.all() for step in steps)


# Seeds


def episodes_of(env, count):
    """First observations of several resets."""
    return [env.reset() for _ in range(count)]


def test_a_seed_decides_everything_and_no_two_environments_are_alike():
    first, again, other = (episodes_of(make("CartPole-v1", num_envs=3, seed=seed), 3) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    everything = np.concatenate([*first, *other])
    assert len(np.unique(everything, axis=0)) == len(everything)


# Descriptions


@pytest.mark.parametrize(
    ("source", "limit"),
    [
        ("CartPole-v1", 500),
        (lambda: gymnasium.make("CartPole-v1", max_episode_steps=7), 7),
        (lambda: gymnasium.wrappers.TransformReward(gymnasium.wrappers.TimeLimit(Overwriting(), 9), abs), 9),
        (Overwriting, None),
    ],
)
def test_the_time_limit_is_found_in_the_wrappers(source, limit):
    assert make(source, num_envs=2, seed=0).max_episode_steps == limit


def test_the_library_and_its_version_are_told():
    env = make("CartPole-v1", num_envs=2, seed=0)
    assert (env.id, env.library, env.num_envs) == ("CartPole-v1", f"gymnasium {gymnasium.__version__}", 2)


@pytest.mark.parametrize("there", ["on the path", "in the working directory"])
def test_a_module_may_register_the_environment(there, tmp_path, monkeypatch):
    source = "import gymnasium\ngymnasium.register('FromAfar-v0', 'gymnasium.envs.classic_control:CartPoleEnv')\n"
    (tmp_path / "from_afar.py").write_text(source)
    if there == "on the path":
        monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    assert make("from_afar:FromAfar-v0", num_envs=1, seed=0).observation_space.shape == (4,)
    assert sys.path == path
    del gymnasium.registry["FromAfar-v0"], sys.modules["from_afar"]


# What cannot work


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CartPol-v1", "^unknown environment 'CartPol-v1'; did you mean 'CartPole-v1'?"),
        ("CartPole", "did you mean 'CartPole-v1'?"),
        ("TMaze", "did you mean 'TMaze-v0'?"),
        ("TMaze-v0", "^backend is 'gymnasium', and TMaze-v0 is ours alone. Take 'compiled', or 'auto'.$"),
        ("HalfCheetah-v1", "did you mean 'HalfCheetah-v5'?"),
        ("Nothing at all!", "^unknown environment 'Nothing at all!'"),
        ("not_a_module:Env-v0", "not_a_module cannot be imported: No module named 'not_a_module'. Install it"),
        (
            "ALE/Pong-v5",
            "^unknown environment 'ALE/Pong-v5'; ale_py has it. Give ale_py:ALE/Pong-v5, once that is inst",
        ),
        ("Nobodys-v0", "If a module registers it, name that too: MODULE:Nobodys-v0."),
        ("gymnasium:Nobodys-v0", "^unknown environment 'gymnasium:Nobodys-v0'[^M]*$"),
        ("HalfCheetah-v3", "environment HalfCheetah-v3 cannot be made: .* moved to the gymnasium-robotics project"),
    ],
)
def test_an_id_that_does_not_exist_is_refused_with_the_nearest(name, message):
    with pytest.raises(InputError, match=message) as caught:
        make(name, num_envs=1, seed=0)
    assert "\n" not in str(caught.value)


def test_without_mujoco_the_message_says_what_to_install(monkeypatch):
    for name in [each for each in sys.modules if each.startswith("gymnasium.envs.mujoco")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(InputError, match=r"HalfCheetah-v5 cannot be made.*pip install 'steepest\[mujoco\]'"):
        make("HalfCheetah-v5", num_envs=1, seed=0)


def fails(*_, **__):
    raise KeyError("lost\nkey")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (fails, "environment fails could not be made: KeyError: .*lost.*key.*Correct the function that makes it"),
        (lambda: 3, "it returned a int, which is no gymnasium.Env"),
        (lambda: gymnasium.make("CartPole-v1", gravity_of="x"), "could not be made: TypeError"),
    ],
)
def test_a_function_that_makes_no_environment_is_at_fault(factory, message):
    with pytest.raises(EnvironmentFault, match=message) as caught:
        make(factory, num_envs=2, seed=0)
    assert caught.value.__cause__ is not None
    assert "\n" not in str(caught.value)


def test_a_function_that_gives_the_same_environment_again_is_refused():
    one = Overwriting()
    with pytest.raises(InputError, match=r"returned the same environment twice\. Make a new one at every call"):
        make(lambda: one, num_envs=2, seed=0)


NAN = np.array([0.0, np.nan], np.float32)


@pytest.mark.parametrize(
    ("space", "observations", "rewards", "message"),
    [
        (PLANE, [NAN], [0.0], r"<lambda>: observation\[1\] of environment 0 is nan; observations must be finite"),
        (PLANE, [ORIGIN, NAN], [0.0], r"observation\[1\] of environment 0 is nan"),
        (PLANE, [ORIGIN, -np.float32([np.inf, 0])], [0.0], r"observation\[0\] of environment 0 is -inf"),
        (spaces.Box(-1, 1, (2,), np.float64), [ORIGIN, np.array([0, 1e300])], [0.0], r"observation\[1\] .* is inf"),
        (
            PLANE,
            [np.zeros(3, np.float32)],
            [0.0],
            r"an observation of environment 0 has shape \(3,\); its space says \(2,\)",
        ),
        (
            PLANE,
            [ORIGIN, np.zeros((1, 2))],
            [0.0],
            r"an observation of environment 0 has shape \(1, 2\); its space says \(2,\)",
        ),
        (PLANE, [ORIGIN, {"a": 1}], [0.0], r"an observation of environment 0 has type dict; its space says \(2,\)"),
        (spaces.Discrete(3), [1.5], [0.0], "observation of environment 0 is 1.5; its space has whole numbers"),
        (spaces.Discrete(3), [np.nan], [0.0], "observation of environment 0 is nan; its space has whole numbers"),
        (spaces.Discrete(3), [3], [0.0], "observation of environment 0 is 3; its space has the choices 0 to 2"),
        (spaces.Discrete(3, start=1), [1, 0], [0.0], "observation of environment 0 is -1; its space has the choices"),
        (spaces.MultiDiscrete([2, 3]), [np.array([1, 3])], [0.0], r"observation\[1\] .* is 3; .* 0 to \[1, 2\]"),
        (spaces.MultiBinary(2), [np.array([0, 2], np.int8)], [0.0], r"observation\[1\] of environment 0 is 2"),
        (PLANE, [ORIGIN], [np.nan], "the reward of environment 0 is nan; rewards must be finite"),
        (PLANE, [ORIGIN], [1e300], "the reward of environment 0 is inf; rewards must be finite"),
        (
            PLANE,
            [ORIGIN],
            [np.zeros(2)],
            r"reward is array\(\[0., 0.\]\) of shape \(2,\), in step 1 .*must be one number",
        ),
        (PLANE, [ORIGIN], [np.ones(1)], r"reward is array\(\[1.\]\) of shape \(1,\), .* step must return float\("),
        (PLANE, [ORIGIN], [[1.0]], r"reward is \[1.0\], .*must be one number"),
        (PLANE, [ORIGIN], [None], "reward is None, .*must be one number"),
        (PLANE, [ORIGIN], ["much"], "reward is 'much', .*must be one number"),
        (PLANE, [ORIGIN, np.array(["a", "b"])], [0.0], "an observation holds str_; it must hold numbers"),
        (PLANE, [ORIGIN, [[1.0], [1.0, 2.0]]], [0.0], "an observation of environment 0 has type list"),
    ],
)
def test_what_the_spaces_rule_out_is_the_fault_of_the_environment(space, observations, rewards, message):
    env = echo(space, observations, rewards=rewards)
    with pytest.raises(EnvironmentFault, match=message) as caught:  # noqa: PT012
        env.reset()
        stepped(env, [0])
    assert "Correct the environment" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["reset", "step"])
def test_an_environment_that_raises_is_named_and_the_cause_kept(monkeypatch, method):
    monkeypatch.setattr(Overwriting, method, fails)
    env = make(Overwriting, num_envs=2, seed=0)
    with pytest.raises(EnvironmentFault, match=r"^Overwriting raised KeyError: .*lost.* the env") as caught:  # noqa: PT012
        env.reset()
        stepped(env, [0, 0])
    assert isinstance(caught.value.__cause__, KeyError)


# No noise. Every warning is an error in these tests.


@pytest.mark.parametrize("name", ["Pendulum-v1", "CartPole-v0", "MountainCarContinuous-v0", "FrozenLake-v1"])
def test_making_an_environment_warns_of_nothing(name):
    env = make(name, num_envs=2, seed=0)
    env.reset()
    stepped(env, np.zeros((2, *env.action_space.shape), env.action_space.dtype))


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "HalfCheetah-v4"])
def test_making_mujoco_environments_says_nothing_and_leaves_no_file(name, tmp_path, monkeypatch, capfd):
    pytest.importorskip("mujoco")
    monkeypatch.chdir(tmp_path)
    env = make(name, num_envs=2, seed=0)
    env.reset()
    step = stepped(env, np.full((2, 6), 9.0, np.float32))
    assert step.obs.dtype == np.float32
    assert env.max_episode_steps == 1000
    output = capfd.readouterr()
    assert (output.out, output.err) == ("", "")
    assert not list(tmp_path.iterdir())


def test_other_warnings_are_heard():
    def careless():
        warnings.warn("your task is ill-posed", stacklevel=1)
        return Overwriting()

    with pytest.warns(UserWarning, match="ill-posed"):
        make(careless, num_envs=1, seed=0)


def test_what_else_mujoco_warns_of_is_heard():
    mujoco = pytest.importorskip("mujoco")
    before = mujoco.get_mju_user_warning()
    with pytest.warns(UserWarning, match="MuJoCo: unstable"), without_noise():  # noqa: PT031
        handler = mujoco.get_mju_user_warning()
        handler("compiler attribute 'settotalmass' is deprecated")
        handler("unstable")
    assert mujoco.get_mju_user_warning() is before
