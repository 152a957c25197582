"""Listeners: what they hear, in what order, and what becomes of one that raises."""

import pathlib
import threading

import numpy as np
import pytest
from worlds import Corridor

import steepest
from steepest.experiments.worker import Reporter
from steepest.runs import metrics

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
