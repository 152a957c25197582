"""`steepest runs` and `steepest info`: what they say of runs in every state, without JAX."""

import datetime
import json
import os
import resource
import subprocess
import sys

import pytest
from written_runs import configuration, write_run

from steepest.cli.main import main
from steepest.core.errors import InputError
from steepest.experiments.run_state import run_state
from steepest.runs.directory import RunDirectory


@pytest.fixture
def runs(tmp_path):
    """A run in each state."""
    write_run(tmp_path / "finished", {0: 10.0, 1: 20.0})
    write_run(tmp_path / "interrupted", {0: 30.0}, until=0.5)
    write_run(tmp_path / "training", {0: 30.0}, until=0.5)
    study = tmp_path / "study"
    write_run(study / "runs" / "failed", {0: 30.0}, until=0.5)
    (study / "study.toml").write_text("")
    (study / "failures").mkdir()
    for name in ("failed", "never-began"):
        (study / "failures" / f"{name}.json").write_text(json.dumps({"run": name, "message": "no such thing"}))
    damaged = write_run(tmp_path / "damaged", {0: 30.0})
    (damaged / "config.json").write_text("{")
    write_run(tmp_path / ".hidden", {0: 1.0})
    return tmp_path


def printed(capsys, *words):
    assert main(list(words)) == 0
    return json.loads(capsys.readouterr().out)


def test_runs_are_listed_in_every_state_the_newest_first(runs, capsys):
    os.utime(runs / "interrupted" / "config.json", (2e9, 2e9))
    os.utime(runs / "interrupted" / "metrics.csv", (2e9, 2e9))
    with RunDirectory(runs / "training").held():
        found = printed(capsys, "runs", str(runs), "--json")
    states = {each["run"].rsplit("/", 1)[1]: each for each in found}
    assert {name: each["state"] for name, each in states.items()} == {
        "finished": "finished",
        "interrupted": "interrupted",
        "training": "training",
        "failed": "failed",
        "never-began": "failed",
        "damaged": "damaged",
    }
    assert found[0]["run"].endswith("interrupted")
    assert datetime.datetime.fromisoformat(found[0]["changed"]).timestamp() == 2e9
    finished = states["finished"]
    assert (finished["return"], finished["measured_by"], finished["steps"]) == (15, "evaluation", 20_000)
    assert (states["interrupted"]["return"], states["interrupted"]["measured_by"]) == (30, "training")
    assert (states["interrupted"]["steps"], states["interrupted"]["total_steps"]) == (10_000, 20_000)
    assert states["failed"]["why"] == states["never-began"]["why"] == "no such thing"
    assert "not valid JSON" in states["damaged"]["why"]
    assert main(["runs", str(runs)]) == 0
    out, err = capsys.readouterr()
    assert "10,000/20,000" in out
    assert "no such thing" in err


def test_without_a_directory_the_usual_ones_are_looked_at(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == 0
    assert capsys.readouterr() == ("", "no runs in runs or studies\n")
    write_run(tmp_path / "runs" / "a", {0: 1.0})
    write_run(tmp_path / "elsewhere" / "b", {0: 1.0})
    assert [each["run"] for each in printed(capsys, "runs", "--json")] == ["runs/a"]
    assert main(["runs", "nowhere"]) == 2


def test_a_run_that_was_made_longer_is_not_finished_by_its_old_evaluation(tmp_path):
    run = write_run(tmp_path / "run", {0: 1.0})
    assert run_state(run).state == "finished"
    (run / "config.json").write_bytes(configuration(total_steps=40_000).dump())
    assert run_state(run).state == "interrupted"
    assert run_state(run).evaluation is None


def test_a_run_whose_environment_raised_has_failed_until_it_goes_on(tmp_path):
    run = write_run(tmp_path / "run", {0: 1.0}, until=0.5)
    (run / "traceback.txt").write_text("…")
    assert run_state(run).state == "failed"
    os.utime(run / "traceback.txt", (0, 0))
    assert run_state(run).state == "interrupted"


def test_a_look_at_the_lock_does_not_keep_a_training_from_beginning(tmp_path):
    import fcntl
    import threading

    run = RunDirectory(write_run(tmp_path / "run", {0: 1.0}))
    opened = os.open(run.path, os.O_RDONLY)
    fcntl.flock(opened, fcntl.LOCK_SH)
    threading.Timer(0.03, os.close, [opened]).start()
    with run.held():
        assert RunDirectory(run.path).in_use
        with pytest.raises(InputError, match="another process trains in it"), RunDirectory(run.path).held():
            pass
    assert not run.in_use


def test_info_tells_everything_about_a_run(tmp_path, capsys):
    run = write_run(tmp_path / "run", {0: 10.0, 3: 20.0}, hyper={"epochs": 4})
    found = printed(capsys, "info", str(run), "--json")
    assert (found["state"], found["algorithm"], found["seeds"]) == ("finished", "ppo", [0, 3])
    assert found["differs_from_defaults"] == {"epochs": 4}
    assert found["hyper_parameters"]["epochs"] == 4
    assert found["evaluation"]["iqm"] == 15
    assert [each["whole"] for each in found["checkpoints"]["3"]] == [False]  # it has no arrays
    assert "python" in found["versions_that_changed"]
    assert found["bytes"] > 1000
    assert "--seed 0 --seeds 1" in found["repeat"]
    assert "--seed 3 --seeds 1" in found["repeat"]
    assert main(["info", str(run)]) == 0
    out = capsys.readouterr().out
    assert "but epochs 4" in out
    assert "evaluated 20.0 ± 1.0" in out
    assert "damaged: update 20" in out
    assert f"evaluate {run}" in out


def test_info_says_how_to_go_on(runs, capsys):
    assert f"resume {runs / 'interrupted'}" in printed(capsys, "info", str(runs / "interrupted"), "--json")["next"]
    assert printed(capsys, "info", str(runs / "damaged"), "--json")["state"] == "damaged"
    assert main(["info", str(runs / "study")]) == 2
    assert "it is a study. steepest runs" in capsys.readouterr().err
    assert main(["info", str(runs / "nowhere")]) == 2


def test_looking_at_runs_is_quick_and_needs_no_jax(tmp_path):
    for number in range(100):
        write_run(tmp_path / str(number), {0: 1.0}, until=0.1)
    code = f"""
import sys
from steepest.cli import main
assert main(["runs", {str(tmp_path)!r}, "--json"]) == 0
assert main(["info", {str(tmp_path / "7")!r}, "--json"]) == 0
assert "jax" not in sys.modules
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 5
