"""Finding an environment, and what it can be told: a time limit, and what it is made with."""

import json

import gymnasium
import jax
import numpy as np
import pytest

import steepest
from steepest.core.errors import EnvironmentFault, InputError
from steepest.envs.tasks import resolve
from steepest.experiments.building import build_algorithm, task_of
from steepest.experiments.configuration import RunConfiguration
from steepest.experiments.preparing import prepare
from steepest.sampling.compiled import begin


class EndsItself(gymnasium.Env):
    """Truncates after five steps, and says so nowhere."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, size=2.0):
        self.size = size

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.time += 1
        return np.zeros(2, np.float32), 1.0, False, self.time == 5, {}


def lasts(task):
    """After how many steps an episode is truncated."""
    (env,) = task.groups(1, 0)
    env.reset()
    for time in range(1, 1001):
        env.send(np.ones((1, *task.action_space.shape), task.action_space.dtype))
        step = env.receive()
        if step.truncated[0]:
            return time
        assert not step.terminated[0]
    return None


@pytest.mark.parametrize(
    ("env", "backend", "limit"),
    [("MountainCar-v0", "gymnasium", 7), ("MountainCar-v0", "envpool", 7), ("CliffWalking-v1", "gymnasium", 9),
     ("MountainCar-v0", "gymnasium", 300), ("MountainCar-v0", "envpool", 300)],
)  # fmt: skip
def test_a_time_limit_stands_in_for_the_environments_own(env, backend, limit):
    if backend == "envpool":
        pytest.importorskip("envpool")
    task = resolve(env, backend, max_episode_steps=limit)
    assert task.max_episode_steps == limit
    assert lasts(task) == limit


@pytest.mark.parametrize("limit", [7, 900])
def test_a_compiled_environment_takes_one_too(limit):
    task = resolve("CartPole-v1", max_episode_steps=limit)
    assert (task.backend, task.max_episode_steps, task.env.max_episode_steps) == ("compiled", limit, limit)
    own = resolve("CartPole-v1").env
    key = jax.random.key(0)
    np.testing.assert_array_equal(begin(task.env, key, 3).obs, begin(own, key, 3).obs)
    assert (task.env.id, task.env.reset_pool) == (own.id, own.reset_pool)


@pytest.mark.parametrize(("limit", "expected"), [(3, 3), (5, 5), (8, 5)])
def test_an_environment_that_truncates_itself_is_accepted_with_a_limit(limit, expected):
    task = resolve(EndsItself, max_episode_steps=limit)
    assert lasts(task) == expected
    experiment = prepare("reinforce", EndsItself, total_steps=100, seeds=(0,), max_episode_steps=limit)
    assert experiment.task.max_episode_steps == limit
    with pytest.raises(InputError, match=r"EndsItself has no time limit, .* Give one \(max_episode_steps\)"):
        prepare("reinforce", EndsItself, total_steps=100, seeds=(0,))


def test_whole_episodes_that_no_memory_holds_are_refused_in_one_line():
    """On a compiled environment, where there is room for the whole time limit from the first step on."""
    limit = 2 * 10**9
    with pytest.raises(InputError, match=rf"^max_episode_steps is {limit}; its transitions of .* Use at most \d+\.$"):
        prepare(
            "reinforce", "CartPole-v1", total_steps=100, seeds=(0,), max_episode_steps=limit, hyper={"num_envs": 99}
        )
    assert prepare("reinforce", EndsItself, total_steps=100, seeds=(0,), max_episode_steps=limit)


def test_the_shorter_of_two_limits_of_a_function_is_the_limit():
    task = resolve(lambda: gymnasium.wrappers.TimeLimit(EndsItself(), 3), max_episode_steps=4)
    assert (task.max_episode_steps, lasts(task)) == (3, 3)


def test_an_environment_is_made_with_what_it_is_told():
    for env, given, backend, read in (
        ("FrozenLake-v1", {"is_slippery": False, "map_name": "8x8"}, "gymnasium", None),
        ("CartPole-v1", {"sutton_barto_reward": True}, "gymnasium", None),
        ("CartPole-v1", {"gravity": 5}, "compiled", lambda task: task.env.gravity),
    ):
        task = resolve(env, env_kwargs=given)
        assert task.backend == backend
        if read is not None:
            assert read(task) == 5.0
            assert isinstance(read(task), float)
    maze = resolve("TMaze-v0", env_kwargs={"length": 20.0})
    assert (maze.env.length, maze.max_episode_steps) == (20, 210)
    assert resolve("TMaze-v0", env_kwargs={"length": 20}, max_episode_steps=30).env.max_episode_steps == 30
    picture = resolve("Catch-v0", env_kwargs={"rows": 6, "columns": 4})
    assert (picture.observation_space.shape, picture.max_episode_steps) == ((6, 4, 1), 5)
    (lake,) = resolve("FrozenLake-v1", env_kwargs={"is_slippery": False}).groups(1, 0)
    lake.reset()
    lake.send(np.array([2]))
    assert lake.receive().obs.tolist() == [1]


@pytest.mark.parametrize(
    ("env", "backend", "given", "message"),
    [
        (
            "CartPole-v1",
            "compiled",
            {"gravit": 1.0},
            "unknown constant of the compiled CartPole-v1 in env_kwargs 'gravit'; did",
        ),
        ("TMaze-v0", "auto", {"lenght": 3}, "unknown constant of the compiled TMaze-v0 in env_kwargs 'lenght'; did"),
        ("TMaze-v0", "auto", {"length": 2.5}, r"env_kwargs: length is 2\.5; it must be a whole number\. 10 is usual"),
        ("TMaze-v0", "auto", {"length": 0}, "length is 0; it must be a whole number and at least 1"),
        ("Catch-v0", "auto", {"columns": 1}, "columns is 1; it must be a whole number and at least 2"),
        ("CartPole-v1", "auto", {"gravity": "low"}, "env_kwargs: gravity is 'low'; it must be a number"),
        (
            "FrozenLake-v1",
            "auto",
            {"desc": np.zeros(2)},
            "env_kwargs: desc is a ndarray; it must be a number, .*Give a function",
        ),
        ("FrozenLake-v1", "auto", {"max_episode_steps": 3}, "env_kwargs: max_episode_steps is a setting of its own"),
        (
            EndsItself,
            "auto",
            {"size": 3.0},
            "env_kwargs are given, and so is the environment itself. Make it with them",
        ),
    ],
)
def test_what_cannot_be_told_is_refused(env, backend, given, message):
    with pytest.raises(InputError, match=message):
        resolve(env, backend, env_kwargs=given)


def test_a_wrong_name_and_a_wrong_limit_are_told():
    with pytest.raises(
        EnvironmentFault, match=r"FrozenLake-v1 could not be made: TypeError: .*'is_slipery'.*what it is given"
    ):
        resolve("FrozenLake-v1", env_kwargs={"is_slipery": False})
    with pytest.raises(InputError, match=r"max_episode_steps is 0; it must be .*at least 1"):
        resolve("CartPole-v1", max_episode_steps=0)


def test_a_run_remembers_what_its_environment_was_told():
    told = {"max_episode_steps": 30, "env_kwargs": {"is_slippery": False}, "evaluation_steps": 12}
    made = prepare("a2c", "FrozenLake-v1", total_steps=100, seeds=(0,), **told)
    again = RunConfiguration.parse(json.loads(made.config.dump()))
    assert (again.dump(), again.fingerprint) == (made.config.dump(), made.config.fingerprint)
    assert {name: getattr(again, name) for name in told} == told
    plain = prepare("a2c", "FrozenLake-v1", total_steps=100, seeds=(0,), backend="gymnasium").config
    assert plain.fingerprint != again.fingerprint
    task = task_of(again)
    assert (task.backend, task.max_episode_steps) == ("gymnasium", 30)
    assert build_algorithm(again, task).spec.max_episode_steps == 30


# An id that this program alone knows


@pytest.fixture
def registered():
    gymnasium.register("Mine-v0", EndsItself, max_episode_steps=6)
    yield "Mine-v0"
    del gymnasium.registry["Mine-v0"]


def test_seeds_on_an_id_that_only_this_program_knows_train_here(registered, tmp_path):
    options = {"num_envs": 2, "segment_length": 4, "hidden": (), "evaluation_episodes": 2}
    result = steepest.train("a2c", registered, total_steps=16, seeds=2, run_dir=tmp_path / "run", **options)
    assert result.finished
    assert set(result.agents) == {0, 1}
    assert not result.config.importable
    # Its own program goes on as ever
    assert len(steepest.evaluate(tmp_path / "run", episodes=2)["seeds"]) == 2
    spec = gymnasium.registry.pop(registered)
    with pytest.raises(
        InputError, match=r"Mine-v0: it was .*registered by the program that began the run\. Give it again"
    ):
        steepest.evaluate(tmp_path / "run", episodes=2)
    # Elsewhere it may be given in another way
    shown = steepest.demonstrate(tmp_path / "run", episodes=3, env=named(EndsItself, registered), max_episode_steps=6)
    assert len(shown) == 15
    gymnasium.registry[registered] = spec


def named(make, name):
    """A function of that name."""

    def function():
        return make()

    function.__name__ = name
    return function


def test_what_is_sent_to_another_process_makes_it_there(registered):
    task = resolve(registered)
    assert resolve("MountainCar-v0", "gymnasium").source_elsewhere is None
    assert resolve(EndsItself).source_elsewhere is EndsItself
    sent = task.source_elsewhere
    spec = gymnasium.registry.pop(registered)
    assert lasts(resolve(sent)) == 5
    gymnasium.registry[registered] = spec
