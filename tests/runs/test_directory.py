"""Run directories: each is begun by one process, and by no other; what is no run, or harmful, is refused."""

import errno
import fcntl
import subprocess
import sys

import pytest

from steepest.core.errors import InputError
from steepest.runs.directory import RunDirectory


def test_directories_are_numbered_and_ones_in_use_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert RunDirectory.fresh(None, "ppo-X").path.name == "ppo-X-1"
    (tmp_path / "runs" / "ppo-X-3").mkdir(parents=True)
    assert RunDirectory.fresh(None, "ppo-X").path.name == "ppo-X-4"
    (tmp_path / "full").mkdir()
    assert RunDirectory.fresh("full", "").path.name == "full"
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(InputError, match=r"it is not empty. Choose another.*steepest resume full"):
        RunDirectory.fresh("full", "")
    with pytest.raises(InputError, match="a file of that name exists"):
        RunDirectory.fresh("full/file", "")


def test_runs_that_choose_their_number_at_once_get_one_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [RunDirectory.fresh(None, "a[1]") for _ in range(3)]
    held = [run.held() for run in runs]
    for each, run in zip(held, runs, strict=True):
        each.__enter__()
        run.config.write_text("{}")
    assert [str(run.path) for run in runs] == ["runs/a[1]-1", "runs/a[1]-2", "runs/a[1]-3"]
    for each in held:
        each.__exit__(None, None, None)


def test_processes_that_choose_their_number_at_once_get_one_each(tmp_path):
    code = """
import sys
from steepest.runs.directory import RunDirectory
run = RunDirectory.fresh(None, "x")
sys.stdin.readline()
with run.held():
    run.config.write_text("{}")
    print(run.path)
"""
    command = [sys.executable, "-c", code]
    started = [
        subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for each in started:
        each.stdin.write("go\n")
        each.stdin.flush()
    found = sorted(each.communicate(timeout=60)[0].strip() for each in started)
    assert found == [f"runs/x-{number}" for number in (1, 2, 3, 4)]


def test_a_fresh_run_never_goes_on_with_what_another_began(tmp_path):
    """Both found the directory empty; the one that comes later is refused, while the other trains and after that."""
    first, second, third = (RunDirectory.fresh(tmp_path / "run", "") for _ in range(3))
    with first.held():
        first.config.write_text("{}")
        with pytest.raises(InputError, match=r"another process trains in it. Give another with --run-dir"):
            second.held().__enter__()
    with pytest.raises(InputError, match=r"it is not empty. Choose another"):
        third.held().__enter__()
    with RunDirectory.existing(tmp_path / "run").held():
        pass


def test_a_directory_in_which_nothing_was_begun_is_removed(tmp_path):
    run = RunDirectory.fresh(tmp_path / "new" / "run", "")
    with pytest.raises(ZeroDivisionError), run.held():
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
    with run.held():
        run.config.write_text("{}")
    assert run.config.exists()


def test_where_no_directory_can_be_made_or_locked_it_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"run directory .*/file/run: .*/file is a file. Choose another"):
        RunDirectory.fresh(tmp_path / "file" / "run", "").held().__enter__()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match="run directory runs/x-1: runs is a file"):
        RunDirectory.fresh(None, "x").held().__enter__()

    def cannot(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", cannot)
    with pytest.raises(InputError, match=r"it cannot be locked \(No locks available\)"):
        RunDirectory.fresh(tmp_path / "run", "").held().__enter__()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["metrics.csv", "checkpoints", "checkpoints/seed-0/000000001.json"])
def test_nothing_is_written_through_a_link_that_leads_out(tmp_path, name):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    run = RunDirectory(tmp_path / "run")
    (run.path / name).parent.mkdir(parents=True)
    (run.path / name).symlink_to(outside)
    with pytest.raises(InputError, match=rf"{name} is a link that leads out of it"), run.held():
        pass
    (run.path / name).unlink()
    (run.path / name).symlink_to(run.path)
    with run.held():
        pass


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"it has no config.json"):
        RunDirectory.existing(tmp_path)
    with pytest.raises(InputError, match="there is no such directory"):
        RunDirectory.existing(tmp_path / "none")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        RunDirectory.existing(tmp_path).read_config()
