"""Sweeps: what is made, what is left, what goes on, what is refused. Runs train in this process, but for one test."""

import json
import os
import pathlib
import signal
import stat
import subprocess
import sys

import pytest
from reliability.environments import TROUBLED
from reliability.small_runs import SMALL

from steepest.cli.main import main
from steepest.core.errors import InputError
from steepest.core.interrupts import Stop
from steepest.runs import metrics
from steepest.studies import sweeping
from steepest.studies.engine import AbstractExecutor, Report
from steepest.studies.study_directory import StudyDirectory
from steepest.studies.study_worker import _check, _make
from steepest.studies.sweeping import sweep

TINY = {
    "algorithms": "a2c",
    "envs": "CartPole-v1",
    "total_steps": 320,
    "evaluation_episodes": 2,
    "preset": False,
    "hyper_parameters": {name: list(each) if isinstance(each, tuple) else each for name, each in SMALL.items()},
}


class Here(AbstractExecutor):
    """Makes runs in this process, by what the processes of a study call.

    - `made`: the names of all of them.
    - `stop`: asked by each; see `Stop`.
    """

    capacity = 1

    def __init__(self, study, processes=None):
        super().__init__(study)
        self.waiting, self.made, self.stop = [], [], Stop()
        self.__class__.last = self

    def configurations(self, runs):
        events = []
        _check(self.study, runs, events.append)
        for event in events:
            if event["event"] == "refused":
                raise InputError(event["text"])
        return [sweeping_config(event["config"]) for event in events if event["event"] == "checked"]

    def start(self, run):
        self.waiting.append(run)

    def next_report(self, timeout):
        run = self.waiting.pop(0)
        self.made.append(run.name)
        event = _make(self.study, run, self.stop, self.hear)
        return Report(run.name, event["kind"], event["text"])

    def hear(self, event):
        pass

    def ask_to_stop(self):
        self.stop.signal = signal.SIGINT

    def close(self):
        pass


def sweeping_config(content):
    from steepest.experiments.configuration import RunConfiguration

    return RunConfiguration.parse(content)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.setattr(sweeping, "LocalExecutor", Here)


def states(result):
    return {state.name: state.state for state in result.states}


def test_a_sweep_makes_every_run_once_and_grows(tmp_path):
    result = sweep(TINY | {"seeds": 2}, out=tmp_path)
    assert result.complete
    assert Here.last.made == ["a2c-CartPole-v1-seed-0", "a2c-CartPole-v1-seed-1"]
    assert sorted(path.name for path in tmp_path.glob("runs/*")) == Here.last.made
    assert all(run.read_text() for run in tmp_path.glob("runs/*/evaluation.json"))
    # Another setting changes what names would be: what was made keeps its own, and is not made again.
    grown = TINY | {"seeds": 3, "grid": {"discount": [0.99, 0.9]}}
    result = sweep(grown, out=tmp_path)
    new = ["discount=0.99-seed-2", *(f"discount=0.9-seed-{seed}" for seed in range(3))]
    assert Here.last.made == [f"a2c-CartPole-v1-{each}" for each in new]
    assert result.complete
    assert [(group["runs"], group["of"]) for group in result.groups()] == [(3, 3), (3, 3)]
    # And what is taken out is left, and named.
    with pytest.warns(RuntimeWarning, match=r"discount=0.9-seed-0 and 2 others are not in the study any more"):
        assert sweep(TINY | {"seeds": 3}, out=tmp_path).complete
    assert Here.last.made == []


def test_a_run_that_has_begun_is_not_given_another_meaning(tmp_path):
    sweep(TINY, out=tmp_path)
    for change, says in (
        ({"total_steps": 640}, "total_steps was 320 and is now 640"),
        ({"hyper_parameters": {**TINY["hyper_parameters"], "discount": 0.5}}, "discount was 0.99 and is now 0.5"),
        ({"max_episode_steps": 7}, "max_episode_steps was None and is now 7"),
    ):
        with pytest.raises(InputError, match=f"run a2c-CartPole-v1-seed-0 has begun with another meaning: {says}"):
            sweep(TINY | change, out=tmp_path)
    assert "320" in (tmp_path / "study.toml").read_text()


def test_a_damaged_run_fails_by_name_and_the_others_are_made(tmp_path):
    (tmp_path / "runs" / "a2c-CartPole-v1-seed-0").mkdir(parents=True)
    (tmp_path / "runs" / "a2c-CartPole-v1-seed-0" / "config.json").write_text("{")
    result = sweep(TINY | {"seeds": 2}, out=tmp_path)
    assert [state.state for state in result.states] == ["failed", "complete"]
    assert "config.json: not valid JSON" in result.failed[0].message


def test_all_runs_are_checked_before_any_begins_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(Here, "start", lambda *_: pytest.fail("a run has begun"))
    blocks = {"runs": [{}, {"envs": "CartPole-v12"}]}  # only a process that makes runs can tell
    with pytest.raises(InputError, match="CartPole-v12"):
        sweep(TINY | blocks, out=tmp_path / "deep" / "new")
    assert not (tmp_path / "deep").exists()


def test_what_is_interrupted_goes_on(tmp_path):
    class Interrupted(Here):
        def hear(self, event):
            self.ask_to_stop()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sweeping, "LocalExecutor", Interrupted)
        patched.setattr("steepest.experiments.loop._BEAT", 0.0)
        result = sweep(TINY, out=tmp_path)
    assert states(result) == {"a2c-CartPole-v1-seed-0": "interrupted"}
    steps = result.states[0].steps
    assert 0 < steps < 320
    assert sweep(tmp_path).complete  # its directory is a study, too
    table = metrics.read(tmp_path / "runs" / "a2c-CartPole-v1-seed-0" / "metrics.csv")
    assert table["steps"].tolist() == list(range(32, 321, 32))


def test_a_run_that_fails_is_named_and_tried_again_unless_that_is_not_wanted(tmp_path, capsys):
    mark = tmp_path / "mark"
    trouble = {"envs": TROUBLED, "env_kwargs": {"trouble": "raising", "mark": str(mark)}}
    study = tmp_path / "study.toml"
    study.write_text(sweeping.study_of(TINY | {"runs": [trouble, {}]}).text)
    words = ["sweep", str(study), "--out", str(tmp_path / "s")]
    assert main([*words, "--quiet"]) == 1
    said = capsys.readouterr()
    name = "a2c-reliability.environments_Troubled-v0-seed-0"
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"failed: {name}: {TROUBLED} raised IndexError")
    assert "IndexError" in (tmp_path / "s" / "runs" / name / "traceback.txt").read_text()
    assert main([*words, "--quiet", "--no-retry-failed"]) == 1
    assert Here.last.made == []
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["complete"]
    assert [run["state"] for run in found["runs"]] == ["complete", "complete"]
    assert not list((tmp_path / "s" / "failures").iterdir())


def test_one_run_can_be_made_alone_and_by_slurm(tmp_path, capsys):
    result = sweep(TINY | {"seeds": 3}, out=tmp_path, slurm=True)
    assert set(states(result).values()) == {"waiting"}
    script = tmp_path / "sweep.sbatch"
    assert "#SBATCH --array=0-2\n#SBATCH --cpus-per-task=1\n" in script.read_text()
    # The last line is what a job does. `echo` in place of `exec` shows it.
    text = script.read_text().replace("exec ", "echo ")
    job = subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, check=True, env=os.environ | {"SLURM_ARRAY_TASK_ID": "1"}
    )
    words = job.stdout.split()[-5:]
    assert words == ["sweep", str(tmp_path), "--only", "a2c-CartPole-v1-seed-1", "--quiet"]
    with StudyDirectory(tmp_path).held(shared=True):  # as beside another job
        assert main(words) == 0
    assert Here.last.made == ["a2c-CartPole-v1-seed-1"]
    assert sweep(tmp_path, only="0").complete
    assert main(["sweep", str(tmp_path), "--slurm"]) == 0
    assert f"sbatch {tmp_path}/sweep.sbatch" in capsys.readouterr().err
    assert "#SBATCH --array=0-0\n" in script.read_text()
    for word, says in (("3", "have the numbers 0 to 2"), ("a2c-CartPole-v1-seed-7", "did you mean")):
        with pytest.raises(InputError, match=says):
            sweep(tmp_path, only=word)
    assert stat.S_ISREG(script.stat().st_mode)


def test_the_example_says_what_it_stands_for_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    example = pathlib.Path(__file__).parents[2] / "examples" / "study.toml"
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", str(example), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 40
    assert lines[0].split() == ["0", "ppo-CartPole-v1-learning_rate=0.001-seed-0", "100,000", "steps", "waiting"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere.toml"], "study nowhere.toml: there is no such file. Give a file in TOML"),
        (["."], "study .: it is a directory without a study.toml"),
        (["nowhere.toml", "--processes", "0"], "processes is 0; it must be a whole number and at least 1"),
        (["nowhere.toml", "--slurm", "--only", "1"], "slurm and only are both given; they exclude each other"),
        (["nowhere.toml", "--ray-address", "127.0.0.1:1"], "ray_address is 127.0.0.1:1, and no Ray answers there"),
        ([], "study"),
    ],
)
def test_wrong_words_get_one_line(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", *words]) == 2
    out, err = capsys.readouterr()
    assert says in err
    assert (out, err.count("\n")) == ("", 1)


KILLED = f"""
algorithms = "a2c"
total_steps = 200
evaluation_episodes = 2
preset = false
hyper_parameters = {{num_envs = 2, segment_length = 4, hidden = [4]}}
envs = "{TROUBLED}"
env_kwargs = {{trouble = "killed", mark = "mark"}}
"""


def test_a_process_that_is_killed_is_followed_by_another_which_goes_on(tmp_path):
    (tmp_path / "killed.toml").write_text(KILLED)
    done = subprocess.run(
        [sys.executable, "-m", "steepest", "sweep", "killed.toml", "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mark").exists()
    assert "its process was ended by signal 9 (memory may have run out); it goes on from its newest" in done.stderr
    found = json.loads(done.stdout)
    assert found["study"] == "studies/killed"
    assert found["complete"]
