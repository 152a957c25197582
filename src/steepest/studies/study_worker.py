"""The process that makes runs of a study, one after the other; started by executors, not by people.

It is told by its standard input which, and reports by its standard output, both one JSON object a line: see
`steepest.experiments.processes.Worker`. Runs with the same program share what was compiled.
"""

from __future__ import annotations

import contextlib
import dataclasses
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
from steepest.experiments.configuration import RunConfiguration, read_configuration
from steepest.experiments.worker import Report, reporting
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import AbstractListener, Row
from steepest.studies.planned import PlannedRun
from steepest.studies.study_directory import StudyDirectory

if TYPE_CHECKING:
    from steepest.experiments.train import Experiment

_EVERY = 0.3
"""Seconds between two reports of how far a run is."""
_PATIENCE = 30.0
"""Seconds in which a process that trained a run before, and was lost, has ended."""
_MAPPINGS = pathlib.Path("/proc/self/maps")
_MOST_MAPPINGS = 30_000
"""Linux lets a process have 65,530, and every compiled program keeps some."""
_EXPECTED = (InputError, EnvironmentFault, NonFiniteError, StorageFault)
_DECIDES = (
    *("algorithm", "hyper_parameters", "env", "backend", "spaces", "action_bounds", "total_steps", "seeds"),
    *("max_episode_steps", "env_kwargs", "evaluation_episodes", "evaluation_every", "evaluation_steps"),
)
"""What must be as it was for a run to be the same."""


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
                _make(study, run, stop, report)
            if _MAPPINGS.exists() and _MAPPINGS.read_bytes().count(b"\n") > _MOST_MAPPINGS:
                break  # whoever asks next gets a fresh process
    return 0


def _make(study: StudyDirectory, run: PlannedRun, stop: Stop, report: Report) -> None:
    """Make a run, and report how it went."""
    place = study.run(run.name)
    try:
        kind = "finished" if make_run(study, run, stop, [_Reporter(report)]) else "interrupted"
        report({"event": "ended", "kind": kind, "text": ""})
    except Exception as error:
        text = str(error) if isinstance(error, _EXPECTED) else f"{type(error).__name__}: {error}"
        if out_of_memory(error):
            text = "memory has run out. Run fewer at once (--processes), or use fewer environments."
        traceback.print_exc()  # into the log
        with contextlib.suppress(StorageFault):  # what raised matters more
            if place.path.is_dir() and not place.traceback.exists():
                write_atomically(place.traceback, traceback.format_exc().encode())
        report({"event": "ended", "kind": "failed", "text": " ".join(text.split())})


def make_run(study: StudyDirectory, run: PlannedRun, stop: Stop | None, listeners: Sequence[AbstractListener]) -> bool:
    """Make a run of a study in this process, from its newest checkpoints where there are any.

    **Returns** whether it is complete. **Raises** what `steepest.train` raises.
    """
    from steepest.experiments.train import execute, reopen

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
    from steepest.experiments.train import prepare

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


def processors(config: RunConfiguration) -> int:
    """How many processors a run keeps busy."""
    if config.hyper_parameters.get("workers") is not None:
        return 1 + int(config.hyper_parameters["workers"])
    return 1 if config.backend == "compiled" or config.demonstrations is not None else 2


def check_began(study: StudyDirectory, run: PlannedRun, asked: RunConfiguration) -> None:
    """**Raises** `InputError` where a run has begun with something else than is asked for now, or is damaged.

    **Arguments**

    - `asked`: its configuration, or that of a run which differs in its seed only.
    """
    differs = _differs(
        read_configuration(study.run(run.name)),
        dataclasses.replace(asked, seeds=(run.seed,), seeds_per_process=((run.seed,),)),
    )
    if differs is not None:
        raise InputError(
            f"run {run.name} has begun with another meaning: {differs}. Change it back, or give another place with "
            f"--out."
        )


def _differs(began: RunConfiguration, asked: RunConfiguration) -> str | None:
    """What is not the same in a run that has begun as in one that is asked for, in words; None where all is."""
    for name in _DECIDES:
        one, other = getattr(began, name), getattr(asked, name)
        if isinstance(one, dict) and isinstance(other, dict):
            inner = next((each for each in {**one, **other} if one.get(each) != other.get(each)), None)
            if inner is not None and inner != "ray_address":
                return f"{inner} was {one.get(inner)!r} and is now {other.get(inner)!r}"
        elif one != other:
            return f"{name} was {one!r} and is now {other!r}"
    return None


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
