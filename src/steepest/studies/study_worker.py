"""The process that makes runs of a study, one after the other; started by executors, not by people.

It is told by its standard input which, and reports by its standard output, both one JSON object a line: see
`steepest.experiments.processes.Worker`. Runs with the same program share what was compiled.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import queue
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from steepest.core.errors import EnvironmentFault, InputError, NonFiniteError, StorageFault, out_of_memory
from steepest.core.files import remove_leftovers, write_atomically
from steepest.core.interrupts import Stop
from steepest.experiments.worker import Report, reporting
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import AbstractListener, Row
from steepest.studies.planned import PlannedRun
from steepest.studies.study_directory import StudyDirectory

if TYPE_CHECKING:
    from steepest.experiments.preparing import Experiment

_EVERY = 0.3
"""Seconds between two reports of how far a run is."""
_PATIENCE = 30.0
"""Seconds in which a process that trained a run before, and was lost, has ended."""
_MAPPINGS = pathlib.Path("/proc/self/maps")
_MOST_MAPPINGS = 30_000
"""Linux lets a process have 65,530, and every compiled program keeps some."""
_EXPECTED = (InputError, EnvironmentFault, NonFiniteError, StorageFault)


def main() -> int:
    """Make the runs that are asked for, until the standard input says that it is enough."""
    study = StudyDirectory(sys.argv[1])
    asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    stop = Stop()

    def heard(line: str) -> None:
        if line == "stop":
            stop.signal = signal.SIGINT
            asked.put(None)
        else:
            asked.put(line)

    with reporting(heard) as report:
        while (line := asked.get()) is not None and not stop():
            command, _, rest = line.partition(" ")
            if command == "check":
                _check(study, [PlannedRun(**each) for each in json.loads(rest)], report)
                continue
            run = PlannedRun.parse(rest)
            with _printing_to(study.log(run.name)):
                event = _make(study, run, stop, report)
            # Whoever asks next gets a fresh process.
            last = event["surprising"] or _mappings() > _MOST_MAPPINGS
            report({"event": "ended", "last": last} | event)
            if last:
                break
    return 0


def _make(study: StudyDirectory, run: PlannedRun, stop: Stop, report: Report) -> dict[str, object]:
    """Make a run. Returns how it ended, and whether nobody could expect that."""
    place = study.run(run.name)
    try:
        finished = make_run(study, run, stop, [_Reporter(report)])
        return {"kind": "finished" if finished else "interrupted", "text": "", "surprising": False}
    except Exception as error:
        surprising = not isinstance(error, _EXPECTED)
        text = f"{type(error).__name__}: {error}" if surprising else str(error)
        if out_of_memory(error):
            text = "memory has run out. Run fewer at once (--processes), or use fewer environments."
        if surprising:
            with contextlib.suppress(StorageFault):  # what raised matters more
                where = place.traceback if place.path.is_dir() else study.log(run.name)
                write_atomically(where, traceback.format_exc().encode())
        return {"kind": "failed", "text": " ".join(text.split()), "surprising": surprising}


def _mappings() -> int:
    return _MAPPINGS.read_bytes().count(b"\n") if _MAPPINGS.exists() else 0


def make_run(study: StudyDirectory, run: PlannedRun, stop: Stop | None, listeners: Sequence[AbstractListener]) -> bool:
    """Make a run of a study in this process, from its newest checkpoints where there are any.

    **Returns** whether it is complete. **Raises** what `steepest.train` raises.
    """
    from steepest.experiments.preparing import reopen
    from steepest.experiments.train import execute

    place = study.run(run.name)
    _wait_for(place.path)
    if place.config.exists():
        experiment = reopen(place.path)
    else:
        with contextlib.suppress(FileNotFoundError):  # what a process that was killed has left
            place.demonstrations.unlink()
        remove_leftovers(place.path)
        experiment = prepared(run, RunDirectory.fresh(place.path, ""))
    result = execute(experiment, show=False, listeners=listeners, stop=stop)
    return result.finished and (result.evaluation is not None or not result.config.evaluation_episodes)


def prepared(run: PlannedRun, place: RunDirectory | None) -> Experiment:
    """The experiment of a run, with everything checked. **Raises** `InputError` for what cannot work."""
    from steepest.experiments.preparing import prepare

    options = dict(run.options)
    bounds = options.pop("action_low", None), options.pop("action_high", None)
    hyper = {name: tuple(each) if isinstance(each, list) else each for name, each in run.hyper.items()}
    return prepare(run.algorithm, run.env, seeds=(run.seed,), run=place, action_bounds=bounds, hyper=hyper, **options)


def _check(study: StudyDirectory, runs: Sequence[PlannedRun], report: Report) -> None:
    """Check runs that differ in more than their seed, and report of each what it needs, or what is wrong with it."""
    for index, run in enumerate(runs):
        try:
            experiment = prepared(run, study.run(run.name))
        except InputError as error:
            report({"event": "refused", "index": index, "text": str(error)})
            continue
        config = experiment.config
        if not experiment.task.importable:
            text = f"environment {config.env}: other processes do not find it. Give MODULE:ID, with what registers it."
            report({"event": "refused", "index": index, "text": text})
            continue
        report({"event": "checked", "index": index, "config": json.loads(config.dump())})
    report({"event": "all checked"})


class _Reporter(AbstractListener):
    """Reports how far a run is, now and then."""

    def __init__(self, report: Report):
        self._report, self._told = report, 0.0
        self._recent: float | None = None

    def rows(self, rows: Sequence[Row]) -> None:
        ended = [row for row in rows if row.get("episodes")]
        episodes = sum(row["episodes"] for row in ended)
        if episodes:
            self._recent = sum(row["return"] * row["episodes"] for row in ended) / episodes
        if rows and time.monotonic() - self._told > _EVERY:
            last = rows[-1]
            self._tell(steps=int(last["steps"]), speed=float(last["steps_per_second"]))

    def evaluating(self, seed: int, episodes: int, ended: int, cut: int) -> None:
        self._tell(evaluating=f"{ended}/{episodes}")

    def evaluation(self, seed: int, steps: int, returns: np.ndarray) -> None:
        self._recent = float(np.mean(returns))
        self._tell(steps=steps)

    def notice(self, seed: int | None, text: str) -> None:
        self._report({"event": "notice", "text": text})

    def _tell(self, **found: object) -> None:
        self._told = time.monotonic()
        self._report({"event": "progress", "recent": self._recent} | found)


@contextlib.contextmanager
def _printing_to(path: pathlib.Path) -> Iterator[None]:
    """Have whatever is printed meanwhile, by anything in this process, appended to a file; none if nothing is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = [os.dup(1), os.dup(2)]
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.dup2(opened, 1)
        os.dup2(opened, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in enumerate(before, 1):
            os.dup2(old, number)
            os.close(old)
        if os.fstat(opened).st_size == 0:
            path.unlink(missing_ok=True)
        os.close(opened)


def _wait_for(path: pathlib.Path) -> None:
    """Wait until nobody trains in a run directory: a process that was lost may need a moment to end."""
    if not path.is_dir():
        return
    begun = time.monotonic()
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while time.monotonic() - begun < _PATIENCE:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.1)
    finally:
        os.close(opened)


if __name__ == "__main__":
    sys.exit(main())
