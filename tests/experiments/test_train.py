"""Whole experiments: what Python returns, what is kept, and what an interrupt costs."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import gymnasium
import jax
import numpy as np
import pytest
from worlds import Corridor, Match, Probe

import steepest
from steepest.core.errors import EnvironmentFault, InputError, NonFiniteError
from steepest.core.spaces import Spec
from steepest.envs.cart_pole import CartPole
from steepest.envs.tasks import resolve
from steepest.experiments.loop import train_seeds
from steepest.experiments.preparing import prepare
from steepest.experiments.processes import cores
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import MetricsTable
from steepest.training.compiled import CompiledTraining

SMALL = {"num_envs": 4, "segment_length": 32, "epochs": 2, "minibatch_size": 32, "hidden": (8,)}


def small(**more):
    return {"preset": False, "evaluation_episodes": 3, **SMALL, **more}


@pytest.fixture(scope="module")
def result():
    return steepest.train("ppo", "CartPole-v1", total_steps=640, seed=3, seeds=2, **small())


def test_a_result_holds_the_policy_the_metrics_and_the_evaluation(result):
    assert result.finished
    assert result.policy([0.0, 0.0, 0.1, 0.0]) in (0, 1)
    assert result.policy_of(4)(np.zeros((5, 4))).shape == (5,)
    assert result.metrics["seed"].tolist() == [3] * 5 + [4] * 5
    assert result.metrics["steps"].tolist() == [128, 256, 384, 512, 640] * 2
    expected = {"steps", "wall_time", "return", "length", "objective", "value_loss", "entropy", "kl", "clip_fraction"}
    assert expected | {"explained_variance", "gradient_norm", "steps_per_second"} <= set(result.metrics)
    assert [each["seed"] for each in result.evaluation["seeds"]] == [3, 4]
    expected = {"algorithm", "env", "backend", "episodes", "cut_after_steps", "seeds", "iqm", "iqm_ci95"}
    assert set(result.evaluation) == expected
    assert result.run_directory is None


def test_a_seed_does_not_depend_on_how_many_train_beside_it(result):
    alone = steepest.train("ppo", "CartPole-v1", total_steps=640, seed=4, **small())
    for name in ("return", "kl", "entropy", "value_loss"):
        together = result.metrics[name][result.metrics["seed"] == 4]
        np.testing.assert_allclose(alone.metrics[name], together, rtol=2e-3, atol=1e-4, err_msg=name)


def test_an_algorithm_and_an_environment_can_be_given_as_objects():
    ppo = steepest.PPO(**SMALL)
    done = steepest.train(ppo, Match(kind="box"), total_steps=256, evaluation_episodes=2)
    action = done.policy([0.5, -0.5])
    assert action.shape == (2,)
    assert np.all(np.abs(action) <= 2)
    assert done.config.env == "Match"
    assert done.config.hyper_parameters["hidden"] == (8,)


def test_a_gymnasium_factory_trains_and_its_actions_come_back_its_way():
    class Shifted(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float64)
        action_space = gymnasium.spaces.Discrete(3, start=5)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.time = 0
            return np.zeros(2), {}

        def step(self, action):
            assert action in (5, 6, 7)
            self.time += 1
            return np.zeros(2), float(action == 6), self.time == 4, False, {}

    done = steepest.train("a2c", Shifted, total_steps=400, num_envs=4, hidden=(8,), evaluation_episodes=2)
    assert done.config.backend == "gymnasium"
    assert done.policy(np.zeros(2)) in (5, 6, 7)


def test_presets_apply_unless_told_otherwise_and_flags_win():
    from steepest.experiments.preparing import prepare

    def learning_rate(**options):
        made = prepare("ppo", "CartPole-v1", total_steps=1, seeds=(0,), **options)
        return made.config.hyper_parameters["learning_rate"], made.config.hyper_parameters["gae_lambda"]

    assert learning_rate() == (1e-3, 0.8)
    assert learning_rate(preset=False) == (3e-4, 0.95)
    assert learning_rate(hyper={"learning_rate": 0.5}) == (0.5, 0.8)


def test_what_is_given_must_fit_the_preset_and_not_the_defaults():
    from steepest.studies.description import study_of
    from steepest.studies.tuning import _begin

    fits, does_not = {"num_envs": 4, "minibatch_size": 80}, {"num_envs": 4, "minibatch_size": 64}
    made = prepare("ppo", "Pendulum-v1", total_steps=1, seeds=(0,), hyper=fits).config.hyper_parameters
    assert (made["segment_length"], made["minibatch_size"]) == (200, 80)
    assert _begin("ppo", "Pendulum-v1", True, fits)[0].minibatch_size == 80
    content = {"algorithms": "ppo", "envs": "Pendulum-v1"}
    assert study_of({**content, "hyper_parameters": fits}).runs[0].hyper == fits
    for refused in (
        lambda: prepare("ppo", "Pendulum-v1", total_steps=1, seeds=(0,), hyper=does_not),
        lambda: prepare("ppo", "Pendulum-v1", total_steps=1, seeds=(0,), hyper=fits, preset=False),
        lambda: _begin("ppo", "Pendulum-v1", True, does_not),
        lambda: study_of({**content, "hyper_parameters": does_not}),
        lambda: study_of({**content, "hyper_parameters": fits, "preset": False}),
    ):
        with pytest.raises(InputError, match="minibatch_size is"):
            refused()


def test_a_configuration_survives_being_written_and_read():
    from steepest.experiments.configuration import RunConfiguration
    from steepest.experiments.preparing import prepare

    config = prepare("ppo", "CartPole-v1", total_steps=1000, seeds=(0, 1)).config
    again = RunConfiguration.parse(json.loads(config.dump()))
    assert again.fingerprint == config.fingerprint
    assert again.parameters() == config.parameters()
    assert {"steepest", "jax", "python"} <= set(again.versions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pp0", "CartPole-v1", {}), "unknown algorithm 'pp0'; did you mean 'ppo'"),
        (("ppo", "CartPole-v2", {}), "unknown environment 'CartPole-v2'; did you mean 'CartPole-v"),
        (("ppo", "CartPole-v1", {"backend": "gym"}), "unknown backend 'gym'; did you mean 'gymnasium'"),
        (("ppo", "Hopper-v5", {"backend": "compiled"}), "unknown compiled environment 'Hopper-v5'"),
        (("ppo", "CartPole-v1", {"learning_rat": 1}), "did you mean 'learning_rate'"),
        (("ppo", "CartPole-v1", {"total_steps": 0}), "total_steps is 0; it must be"),
        (("ppo", "CartPole-v1", {"seeds": 0}), "seeds is 0; it must be"),
        (("ppo", "CartPole-v1", {"seed": -1}), "seed is -1; it must be"),
        (("ppo", "CartPole-v1", {"seeds": 10**12}), "seeds is 1000000000000; it must be"),
        (("ppo", "CartPole-v1", {"seed": 2**31 - 1, "seeds": 2}), "seed is 2147483647; it must be"),
        (("ppo", "CartPole-v1", {"evaluation_episodes": 10**12}), "evaluation_episodes is 1000000000000; it must be"),
        (("ppo", "CartPole-v1", {"num_envs": 10**6, "segment_length": 10**6}), "num_envs is 1000000; its transitions"),
        (("ppo", "CartPole-v1", {"hidden": (2**16,) * 3}), "arrays need 206 GB.*hidden"),
        (("ppo", "CartPole-v1", {"hidden": (2,) * 65}), "hidden has 65 numbers; at most 64"),
        (("ppo", "CartPole-v1", {"num_envs": 10**6, "segment_length": 10**6, "minibatch_size": 77}), "does is 80"),
        (("ppo", 3, {}), "env is a int; it must be an id"),
        (
            ("ppo", "CartPole-v1", {"learning_rate": float("inf")}),
            "learning_rate is inf; it must be above 0 and finite",
        ),
        (("ppo", "CartPole-v1", {"action_low": -1.0}), "action_low is -1, but actions of CartPole-v1 are Discrete"),
        (("ppo", "Pendulum-v1", {"action_high": 1.0}), "action_high is 1, but actions of Pendulum-v1 have bounds"),
        (("ppo", "Pendulum-v1", {"action_low": float("nan")}), "action_low is nan; it must be finite"),
        (("ppo", "CartPole-v1", {"policy": "tabular"}), "policy is 'tabular'; it needs a discrete"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(arguments, message, tmp_path):
    algorithm, env, options = arguments
    with pytest.raises(InputError, match=message):
        steepest.train(algorithm, env, run_dir=tmp_path / "run", **{"total_steps": 100, **options})
    assert not (tmp_path / "run").exists()


class Open(Match):
    """Actions without bounds."""

    @property
    def observation_space(self):
        return super().observation_space

    @property
    def action_space(self):
        return type(super().action_space)(-np.inf, np.inf, (2,))


def test_an_action_space_without_bounds_needs_them():
    with pytest.raises(InputError, match=r"without finite bounds.*--action-low"):
        steepest.train("ppo", Open(kind="box"), total_steps=128)


class Restless(Match):
    """A time limit that was taken for a number that may change."""

    max_episode_steps: int = 4

    @property
    def observation_space(self):
        return super().observation_space

    @property
    def action_space(self):
        return super().action_space


def test_a_time_limit_must_not_change():
    with pytest.raises(InputError, match=r"Restless.max_episode_steps is a number that may change"):
        steepest.train("ppo", Restless(), total_steps=128)


def test_a_run_that_goes_on_meets_other_episodes():
    made = []
    task = dataclasses.replace(resolve("CartPole-v1", "gymnasium"), make=lambda count, seed: made.append(seed))
    for seed, begun in ((0, 0), (0, 0), (0, 7), (1, 0)):
        task.groups(4, seed, begun)
    assert made[0] == made[1]
    assert len(set(made)) == 3


def test_two_processes_do_not_train_in_one_directory(tmp_path):
    with RunDirectory(tmp_path).held(), pytest.raises(InputError, match="another process trains in it"):
        steepest.train("ppo", "CartPole-v1", total_steps=128, run_dir=tmp_path, **small())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["nan reward", "nan observation"])
def test_nan_stops_the_run_by_name_and_the_last_good_checkpoint_stays(kind, tmp_path):
    with pytest.raises(NonFiniteError, match=rf"{kind[4:]} is not finite at update 1 .* seed 0; the parameters are"):
        steepest.train("ppo", Probe(kind=kind), total_steps=1000, run_dir=tmp_path / "run", **small())


@pytest.mark.parametrize("backend", ["compiled", "gymnasium"])
def test_what_was_learnt_before_a_number_went_wrong_is_kept(backend, tmp_path):
    """The rows and the parameters of every update before it, though no checkpoint was due yet."""
    options = {"num_envs": 2, "hidden": (8,), "batch_size": 8, "warm_up_steps": 100, "critic_learning_rate": 1e38}
    with pytest.raises(NonFiniteError, match="is not finite at update"):
        steepest.train("ddpg", "Pendulum-v1", total_steps=4000, backend=backend, run_dir=tmp_path / "run", **options)
    columns = metrics.read(tmp_path / "run" / "metrics.csv")
    assert columns["steps"][-1] >= 98
    np.testing.assert_array_equal(np.diff(columns["steps"]), 2)
    assert np.all(np.isfinite(columns["objective"][columns["gradient_steps"] > 0]))
    found = steepest.evaluate(tmp_path / "run", episodes=2)
    assert np.isfinite(found["iqm"])


def test_once_the_environment_is_repaired_a_run_goes_on(tmp_path):
    """What the error asks for. The episodes that were going on may hold what was wrong, so they are begun anew."""
    run, env = RunDirectory(tmp_path), Probe(kind="nan observation")
    made = prepare("ppo", env, total_steps=1000, seeds=(0,), run=run, hyper=SMALL)
    with pytest.raises(NonFiniteError, match="observation is not finite at update 1"):
        train_seeds(made.config, made.task, (0,), run, listener=MetricsTable(run.metrics), stop=lambda: False)
    repaired = dataclasses.replace(made.task, env=dataclasses.replace(env, kind="plain"))
    done = train_seeds(made.config, repaired, (0,), run, listener=MetricsTable(run.metrics), stop=lambda: False)
    assert done[0].finished


def test_too_large_a_step_is_stopped_before_the_parameters_are_lost(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(NonFiniteError, match="is not finite at update"):
        steepest.train(
            "a2c", Corridor(), total_steps=10**6, learning_rate=1e38, num_envs=4, anneal=False, run_dir=run,
            clip_global_norm=1e30,
        )  # fmt: skip
    columns = metrics.read(run / "metrics.csv") if (run / "metrics.csv").exists() else {"objective": np.zeros(1)}
    assert np.all(np.isfinite(columns["objective"]))


class Broken(gymnasium.Env):
    """Misbehaves on the third step."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    how = "raises"

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.time += 1
        obs = np.zeros(2, np.float32)
        if self.time == 3:
            if self.how == "raises":
                raise KeyError("lost")
            obs = np.full(2, np.nan, np.float32)
        return obs, 0.0, False, False, {}


class BrokenQuietly(Broken):
    """Returns NaN."""

    how = "nan"


@pytest.mark.parametrize(
    ("env", "message"),
    [(Broken, "Broken raised KeyError: 'lost'"), (BrokenQuietly, r"observation\[0\] of environment 0 is nan")],
)
def test_a_broken_environment_is_named(env, message):
    with pytest.raises(EnvironmentFault, match=message):
        steepest.train("ppo", env, total_steps=1000, **small())


RUN = ["ppo", "--env", "CartPole-v1", "--total-steps", "40000", "--no-preset", "--evaluation-episodes", "2"]
FLAGS = ["--num-envs", "4", "--segment-length", "32", "--minibatch-size", "32", "--epochs", "2", "--hidden", "8"]


def command(*words):
    return [sys.executable, "-m", "steepest", *map(str, words)]


def training(run, *more):
    return command("train", *RUN, *FLAGS, "--checkpoint-seconds", "0", "--run-dir", run, *more)


@pytest.fixture
def begin():
    """Begins the training in a process that ends with the test, even where that fails."""
    begun = []

    def begin(run, *more):
        begun.append(subprocess.Popen(training(run, *more), stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.wait()
        process.stderr.close()


def final_states(run, seeds):
    files = [max(RunDirectory(run).checkpoints(seed).glob("*.safetensors")) for seed in seeds]
    return [(path.name, path.read_bytes()) for path in files]


def wait_for_checkpoints(run, seeds, process, timeout=120):
    end = time.monotonic() + timeout
    while not all(list(RunDirectory(run).checkpoints(seed).glob("*.json")) for seed in seeds):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run = tmp_path_factory.mktemp("whole") / "run"
    subprocess.run(training(run, "--seeds", "2"), check=True, capture_output=True, timeout=240)
    return run


def test_a_run_directory_holds_everything(uninterrupted):
    names = {path.name for path in uninterrupted.iterdir()}
    assert names == {"config.json", "metrics.csv", "metrics.csv.sha256", "checkpoints", "evaluation.json", "curve.png"}
    columns = metrics.read(uninterrupted / "metrics.csv")
    assert columns["update"].tolist() == [*range(1, 314)] * 2
    evaluation = json.loads((uninterrupted / "evaluation.json").read_text())
    again = steepest.evaluate(uninterrupted, episodes=2)
    assert again == evaluation


def test_a_killed_run_goes_on_bit_for_bit(uninterrupted, tmp_path, begin):
    """SIGKILL in the middle; its workers die with it; what `resume` makes of it is what would have come anyway."""
    run = tmp_path / "run"
    process = begin(run, "--seeds", "2")
    wait_for_checkpoints(run, (0, 1), process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1.0)  # the workers notice that their standard input has ended
    interrupted = final_states(run, (0, 1))
    assert any(state not in final_states(uninterrupted, (0, 1)) for state in interrupted), "it was killed too late"
    subprocess.run(command("resume", run), check=True, capture_output=True, timeout=240)
    assert final_states(run, (0, 1)) == final_states(uninterrupted, (0, 1))
    one, other = (metrics.read(each / "metrics.csv") for each in (run, uninterrupted))
    for name in set(one) - {"wall_time", "steps_per_second"}:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert json.loads((run / "evaluation.json").read_text()) == json.loads(
        (uninterrupted / "evaluation.json").read_text()
    )


@pytest.mark.parametrize(
    ("seeds", "number"), [(1, signal.SIGINT), (2, signal.SIGTERM)], ids=["in this process", "in processes"]
)
def test_ctrl_c_and_what_schedulers_send_saves_and_says_how_to_go_on(tmp_path, begin, seeds, number):
    run = tmp_path / "run"
    process = begin(run, "--seeds", seeds, "--total-steps", "100000000")
    wait_for_checkpoints(run, range(seeds), process)
    with pytest.raises(InputError, match="another process trains in it"), RunDirectory(run).held():
        pass
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert said.count("steepest: stopping after this update.") == 1
    assert f" resume {run}" in said
    assert "Traceback" not in said
    assert (run / "curve.png").exists()
    newest = [int(name.split(".")[0]) for name, _ in final_states(run, range(seeds))]
    columns = metrics.read(run / "metrics.csv")
    assert [columns["update"][columns["seed"] == seed].max() for seed in range(seeds)] == newest


@pytest.mark.skipif(cores() < 2, reason="seeds share a process where there is one processor")
def test_workers_that_are_killed_are_one_line_each_and_the_others_train_on(tmp_path, begin):
    run = tmp_path / "run"
    process = begin(run, "--seeds", "2", "--total-steps", "100000000")
    wait_for_checkpoints(run, (0, 1), process)
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    started = [int(each) for each in children if b"worker" in pathlib.Path(f"/proc/{each}/cmdline").read_bytes()]
    os.kill(started[0], signal.SIGKILL)
    rows = (run / "metrics.csv").stat().st_size
    deadline = time.monotonic() + 60
    while (run / "metrics.csv").stat().st_size < rows + 10_000:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(started[1], signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    for seed in range(2):
        assert said.count(f"seed {seed}: the process that trained group {seed} of the seeds was ended by signal 9") == 1
    assert f"What was saved is kept. Go on with it: steepest resume {run}" in said
    assert "Traceback" not in said


def test_where_a_run_is_cut_into_calls_does_not_matter():
    env, ppo = CartPole(), steepest.PPO(**SMALL)
    algorithm = ppo.build(Spec(env.observation_space, env.action_space, 4, 10))
    states = []
    for seconds in (0.0, 100.0):
        training = CompiledTraining(algorithm, env, seeds=(0,), total_steps=128 * 10)
        while not training.finished:
            training.advance(seconds)
        states.append(training.states()[0].agent)
    jax.tree.map(np.testing.assert_array_equal, *states)
