"""An environment that raises in the middle of a run: nothing is lost that was learnt, and it is told where."""

import sys

import gymnasium
import jax
import numpy as np
import pytest

import steepest
from steepest.cli import main
from steepest.core.errors import EnvironmentFault
from steepest.experiments.results import TrainResult
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory
from steepest.training.compiled import seed_keys

SMALL = {"num_envs": 2, "segment_length": 4, "hidden": (), "evaluation_episodes": 2}


class Failing(gymnasium.Env):
    """Raises in one of all steps that are made, whoever makes them."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    made, fails_at, stubborn = 0, -1, False

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.ones(2, np.float32), {}

    def step(self, action):
        type(self).made += 1
        self.time += 1
        if type(self).made == self.fails_at:
            raise ZeroDivisionError("no ground")
        return np.ones(2, np.float32), float(action), False, self.time == 3, {}

    def close(self):
        if self.stubborn:
            raise AttributeError("no viewer")


def failing(**attributes):
    return type("Failing", (Failing,), attributes | {"made": 0})


def train(env, run=None, **options):
    return steepest.train("a2c", env, total_steps=80, run_dir=run, **SMALL, **options)


@pytest.mark.parametrize("every", [0, 40], ids=["in training", "in evaluation on the way"])
def test_what_was_learnt_before_an_environment_raised_is_saved_and_goes_on(tmp_path, every):
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(EnvironmentFault) as caught:
        train(failing(fails_at=44), run.path, evaluation_every=every)
    said, cause = str(caught.value), caught.value.__cause__
    assert said.startswith(f"Failing raised ZeroDivisionError: no ground, at {__file__}:")
    assert '(raise ZeroDivisionError("no ground"))' in said
    assert said.endswith(f"is saved; {run.traceback} says more. Go on: steepest resume {run.path}")
    assert "\n" not in said
    assert isinstance(cause, ZeroDivisionError)
    whole = run.traceback.read_text()
    assert "in step\n" in whole
    assert "ZeroDivisionError: no ground" in whole
    # Whole updates only, each of 8 steps
    np.testing.assert_array_equal(metrics.read(run.metrics)["steps"], [8, 16, 24, 32, 40])
    assert caught.value.result.metrics["steps"][-1] == 40
    done = steepest.resume(run.path, env=failing())
    assert done.finished
    np.testing.assert_array_equal(done.metrics["update"], np.arange(1, 11))


def test_from_python_the_result_so_far_is_on_the_exception():
    with pytest.raises(
        EnvironmentFault, match=r"What was learnt before that is the result of this exception\."
    ) as caught:
        train(failing(fails_at=44))
    result = caught.value.result
    assert isinstance(result, TrainResult)
    assert (result.finished, result.evaluation) == (False, None)
    np.testing.assert_array_equal(result.metrics["steps"], [8, 16, 24, 32, 40])
    assert result.policy(np.zeros(2)) in (0, 1)
    before = result.algorithm.init(seed_keys(jax.random.key(0))[0])
    assert np.any(result.agents[0].policy.network.weights[0] != before.policy.network.weights[0])


def test_an_environment_that_raises_in_the_last_evaluation_costs_the_evaluation_only(tmp_path):
    with pytest.raises(EnvironmentFault, match="Go on: steepest resume") as caught:
        train(failing(fails_at=83), tmp_path / "run")
    assert caught.value.result.metrics["steps"][-1] == 80
    assert steepest.resume(tmp_path / "run", env=failing()).evaluation is not None
    with pytest.raises(EnvironmentFault) as caught:
        train(failing(fails_at=83))
    assert 0 in caught.value.result.agents


def test_an_environment_that_cannot_be_closed_costs_nothing():
    env = failing(stubborn=True)
    with pytest.warns(RuntimeWarning, match="Failing: close raised AttributeError: no viewer"):
        result = train(env)
    assert result.finished
    assert result.evaluation is not None


def test_a_run_on_an_environment_of_ones_own_is_evaluated_and_shows_what_it_does(tmp_path):
    """And teaches in the same environment, though no id names that."""
    env = failing()
    made = train(env, tmp_path / "run")
    assert steepest.evaluate(tmp_path / "run", episodes=2, env=env) == made.evaluation
    shown = steepest.demonstrate(tmp_path / "run", episodes=2, env=env, max_episode_steps=3)
    assert len(shown) == 6
    taught = steepest.train(
        "behaviour_cloning", env, demonstrations=tmp_path / "run", demonstration_episodes=2, total_steps=8,
        evaluation_episodes=0, hidden=(), max_episode_steps=3,
    )  # fmt: skip
    assert taught.finished


MODULE = """
import gymnasium
import numpy as np


class Mine(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    steps = 0

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.steps == 22:
            raise ZeroDivisionError("no ground")
        return np.zeros(2, np.float32), 0.0, False, self.steps % 3 == 0, {}


gymnasium.register("Mine-v0", Mine)
"""


def test_what_a_module_in_the_working_directory_registers_is_found_and_told_of_by_other_processes(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_module.py").write_text(MODULE)
    words = ["--env", "my_module:Mine-v0", "--seeds", "2", "--total-steps", "400", "--run-dir", "run"]
    status = main(["train", "a2c", *words, "--num-envs", "2", "--segment-length", "4", "--hidden", "4"])
    line = capfd.readouterr().err.splitlines()[-1]
    assert status == 2
    assert line.startswith("steepest: my_module:Mine-v0 raised ZeroDivisionError: no ground, at ")
    place = MODULE[: MODULE.index("raise")].count("\n") + 1
    assert f"{tmp_path}/my_module.py:{place} (raise ZeroDivisionError" in line
    assert line.endswith("run/traceback.txt says more. Go on: steepest resume run")
    assert metrics.read(tmp_path / "run" / "metrics.csv")["steps"][-1] == 40
    assert "my_module.py" in (tmp_path / "run" / "traceback.txt").read_text()
    assert str(tmp_path) not in sys.path
    (tmp_path / "my_module.py").write_text("")
    assert main(["evaluate", "run", "--episodes", "200", "--traceback"]) == 2  # it has no checkpoint of the other seed
    assert "Traceback (most recent call last)" in capfd.readouterr().err
    del gymnasium.registry["Mine-v0"], sys.modules["my_module"]
