"""Listeners: what they hear, in what order, and what becomes of one that raises."""

import csv
import inspect
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from worlds import Corridor

import steepest
from steepest.core.errors import InputError, ProcessLost
from steepest.experiments import processes
from steepest.experiments.preparing import prepare
from steepest.experiments.train import execute
from steepest.experiments.worker import Reporter
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import EvaluationsInMemory, Listeners

SMALL = {"num_envs": 4, "segment_length": 8, "hidden": (8,), "preset": False}


class Hearing(steepest.AbstractListener):
    """Writes down everything."""

    def __init__(self):
        self.kept, self.events = [], []

    def rows(self, rows):
        self.kept += rows
        self.events += [("rows", int(row["seed"]), int(row["update"])) for row in rows]

    def evaluation(self, seed, steps, returns):
        self.events.append(("evaluation", seed, steps, len(returns)))

    def checkpoint(self, seed, path):
        assert path.exists()
        self.events.append(("checkpoint", seed, int(path.stem)))

    def flush(self):
        self.events.append(("flush",))

    def close(self):
        self.events.append(("close",))


@pytest.mark.parametrize("env", ["CartPole-v1", Corridor()], ids=["in processes", "in this one"])
def test_every_row_is_heard_once_and_before_the_checkpoint_that_holds_it(env, tmp_path):
    """Several worker processes or none: the table, the listener and the result say the same."""
    heard, run = Hearing(), tmp_path / "run"
    done = steepest.train(
        "a2c", env, total_steps=320, seeds=3, run_dir=run, evaluation_episodes=2, evaluation_every=160,
        listeners=[heard], **SMALL,
    )  # fmt: skip
    columns, told = metrics.read(run / "metrics.csv"), metrics.from_rows(heard.kept)
    assert set(columns) == set(told) == set(done.metrics)
    for name, values in told.items():
        np.testing.assert_allclose(columns[name], values, rtol=1e-6, err_msg=name)
    rows = [event for event in heard.events if event[0] == "rows"]
    assert len(rows) == len(set(rows)) == 3 * 10
    for position, event in enumerate(heard.events):
        if event[0] == "checkpoint":
            _, seed, update = event
            assert ("rows", seed, update) in heard.events[:position]
            assert ("flush",) in heard.events[:position]
    evaluations = {event for event in heard.events if event[0] == "evaluation"}
    assert evaluations == {("evaluation", seed, steps, 2) for seed in range(3) for steps in (160, 320)}
    assert heard.events[-1] == ("close",)
    assert heard.events.count(("close",)) == 1


class Raising(Hearing):
    """Fails at its second call."""

    def rows(self, rows):
        super().rows(rows)
        if len(self.kept) > 1:
            raise KeyError("lost")


def test_one_that_raises_is_named_and_removed_and_the_run_goes_on(tmp_path):
    raising, other = Raising(), Hearing()
    with pytest.warns(
        RuntimeWarning, match=r"listener Raising failed \(KeyError: 'lost'\) and is removed; the run goes"
    ):
        done = steepest.train(
            "a2c", Corridor(), total_steps=320, evaluation_episodes=0, listeners=[raising, other], **SMALL
        )
    assert done.finished
    assert len(other.kept) == 10
    assert ("close",) not in raising.events


def test_those_that_fail_at_everything_do_not_end_the_run_either():
    """The second one fails at the notice that the first has failed, and equal ones are told apart."""

    class Failing(Hearing):
        __hash__ = None

        def __eq__(self, other):
            return True

        def rows(self, rows):
            raise ValueError("rows")

        def notice(self, seed, text):
            raise ValueError("notice")

    own, last = Hearing(), Hearing()
    listeners = Listeners([own], [Failing(), Failing(), last])
    for _ in range(2):
        listeners.rows([{"seed": 0, "update": 1}])
    assert len(own.kept) == len(last.kept) == 2


def test_an_interrupt_in_a_listener_passes():
    class Stopping(steepest.AbstractListener):
        def rows(self, rows):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        steepest.train("a2c", Corridor(), total_steps=320, listeners=[Stopping()], **SMALL)


def test_a_worker_saves_only_once_it_is_told_that_its_rows_are_written():
    told, written = [], threading.Semaphore(0)
    reporter = Reporter(told.append, written.acquire)
    reporter.rows([{"seed": 0.0, "update": 1.0}])
    saving = threading.Thread(target=reporter.flush)
    saving.start()
    saving.join(0.2)
    assert saving.is_alive()
    assert [event["event"] for event in told] == ["rows", "flush"]
    written.release()
    saving.join(10)
    assert not saving.is_alive()
    reporter.checkpoint(0, pathlib.Path("x"))
    assert told[-1] == {"event": "checkpoint", "seed": 0, "path": "x"}


def test_half_a_line_of_a_killed_worker_is_its_end_and_no_riddle(tmp_path, monkeypatch):
    """Without this the run would wait for ever for a process that is gone."""
    dies = 'import os; os.write(1, b\'{"event": "flush"}\\n{"event": "rows", "ro\'); os.kill(os.getpid(), 9)'
    start = subprocess.Popen
    monkeypatch.setattr(
        processes.subprocess, "Popen", lambda command, **options: start([sys.executable, "-c", dies], **options)
    )
    events = queue.SimpleQueue()
    worker = processes.Worker(["steepest"], events)
    assert events.get(timeout=30)[1] == {"event": "flush"}
    assert events.get(timeout=30)[1] is None
    assert worker.failure() == "was ended by signal 9 (memory may have run out)"
    worker.end()


class Killing(steepest.AbstractListener):
    """Kills a worker at one moment, between what it heard and what the worker does next."""

    def __init__(self, event, count):
        self.left, self.event = count, event

    def _hear(self, event):
        self.left -= event == self.event
        if self.left == 0 and event == self.event:
            children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            command = {each: pathlib.Path(f"/proc/{each}/cmdline").read_bytes() for each in children}
            os.kill(int(next(each for each, said in command.items() if b"experiments.worker" in said)), signal.SIGKILL)

    def rows(self, rows):
        self._hear("rows")

    def flush(self):
        self._hear("flush")

    def checkpoint(self, seed, path):
        self._hear("checkpoint")


def prepared(path):
    return prepare(
        "a2c", "CartPole-v1", total_steps=320, seeds=(0, 1), run=RunDirectory.fresh(path, ""), evaluation_episodes=2,
        checkpoint_seconds=0.0, preset=False, hyper={"num_envs": 4, "segment_length": 8, "hidden": (8,)},
    )  # fmt: skip


def kept(run):
    """The table without times, sorted by seed and update, and the newest checkpoints, as they are on the disk."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = [
            {name: text for name, text in row.items() if name not in ("wall_time", "steps_per_second")}
            for row in csv.DictReader(file)
        ]
    newest = [max(RunDirectory(run).checkpoints(seed).glob("*.safetensors")).read_bytes() for seed in (0, 1)]
    return sorted(rows, key=lambda row: (row["seed"], int(row["update"]))), newest


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run = tmp_path_factory.mktemp("whole") / "run"
    assert execute(prepared(run), show=False).finished
    return kept(run)


@pytest.mark.parametrize(("event", "count"), [("rows", 1), ("flush", 3), ("checkpoint", 2)])
def test_a_worker_that_is_killed_leaves_a_run_that_goes_on_to_the_same_bytes(event, count, tmp_path, uninterrupted):
    """Before its first checkpoint; while it waits for the word that its rows are written; and after a checkpoint."""
    run = tmp_path / "run"
    with pytest.raises(ProcessLost, match="was ended by signal 9"):
        execute(prepared(run), show=False, listeners=[Killing(event, count)])
    assert steepest.resume(run).finished
    assert kept(run) == uninterrupted


def test_a_run_is_held_until_the_last_worker_of_a_killed_process_has_ended(tmp_path):
    """Else a worker that is about to end could save a checkpoint after the table was cut back."""
    run, other = RunDirectory(tmp_path), RunDirectory(tmp_path)
    with run.held():
        waits = [sys.executable, "-c", "input()"]
        worker = subprocess.Popen(waits, stdin=subprocess.PIPE, pass_fds=(run.lock,))
    with pytest.raises(InputError, match="another process trains in it"), other.held():
        pass
    worker.communicate(b"\n")
    with other.held():
        assert other.lock is not None


def test_a_process_tells_how_far_an_evaluation_is_and_how_many_episodes_were_cut():
    told, heard = [], EvaluationsInMemory()
    reporter = Reporter(told.append, lambda: None)
    for ended, cut in ((0, 0), (4, 1), (10, 3)):
        reporter.evaluating(5, 10, ended, cut)
    for event in told:
        inspect.unwrap(processes._tell)(Listeners([heard]), json.loads(json.dumps(event)), None)
    assert heard.cut == {5: 3}
