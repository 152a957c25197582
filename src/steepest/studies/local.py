"""Runs in processes on this machine."""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import time
from collections.abc import Mapping, Sequence
from typing import Any

from steepest.core.errors import InputError, ProcessLost
from steepest.experiments.configuration import RunConfiguration
from steepest.experiments.processes import Worker, cores
from steepest.studies.engine import AbstractExecutor, Report
from steepest.studies.planned import PlannedRun
from steepest.studies.study_directory import StudyDirectory

_PAUSE = 1.0
"""The most seconds that count between two looks at the clock: this process may have been stopped itself."""
_TRIES = 2
"""How often runs are checked, where the process that does so is killed."""
_PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"
_RUNS_PER_PROCESS = 25
"""After so many runs a process is replaced: whatever libraries do not let go of ends with it."""


class LocalExecutor(AbstractExecutor):
    """Makes runs in processes on this machine, each of which makes several, one after the other.

    **Arguments**

    - `study`: where the runs are kept. The processes have copies of its lock, if it is held.
    - `processes`: how many processors may be busy at once; all that there are when left out.
    - `variables`: of the environment of the processes, beside those of this one.

    >>> with LocalExecutor(StudyDirectory("studies/first"), processes=3) as executor:
    ...     executor.capacity
    3
    """

    def __init__(
        self, study: StudyDirectory, processes: int | None = None, *, variables: Mapping[str, str] | None = None
    ):
        super().__init__(study)
        self._capacity = cores() if processes is None else processes
        # Several processes may share an accelerator, whose memory the first would otherwise take.
        shares = self._capacity > 1 and _PREALLOCATE not in os.environ
        self._variables = ({_PREALLOCATE: "false"} if shares else {}) | dict(variables or {})
        self._events: queue.SimpleQueue[tuple[_StudyWorker, dict[str, Any] | None]] = queue.SimpleQueue()
        self._workers: set[_StudyWorker] = set()
        self._looked = time.monotonic()
        self._stopping = False

    @property
    def capacity(self) -> int:
        return self._capacity

    def configurations(self, runs: Sequence[PlannedRun]) -> list[RunConfiguration]:
        # Whether a run can be made does not depend on its seed.
        first = {run.but_for_the_seed: run for run in reversed(runs)}
        found = dict(zip(first, self._check(list(first.values())), strict=True))
        return [
            dataclasses.replace(found[run.but_for_the_seed], seeds=(run.seed,), seeds_per_process=((run.seed,),))
            for run in runs
        ]

    def start(self, run: PlannedRun) -> None:
        worker = self._free()
        worker.begin(run)

    def next_report(self, timeout: float) -> Report | None:
        try:
            worker, event = self._events.get(timeout=timeout)
        except queue.Empty:
            worker, event = None, None
        passed, self._looked = min(time.monotonic() - self._looked, _PAUSE), time.monotonic()
        for each in self._workers:
            if each.run is not None:
                each.wait(passed)
        if worker is None:
            return None
        return self._ended(worker) if event is None else self._told(worker, event)

    def ask_to_stop(self) -> None:
        self._stopping = True
        for each in self._workers:
            each.ask_to_stop()

    def close(self) -> None:
        for each in self._workers:
            each.end()
        self._workers.clear()

    def _check(self, runs: Sequence[PlannedRun]) -> list[RunConfiguration]:
        """The configurations of runs that differ in more than their seed."""
        how = ""
        for _ in range(_TRIES):
            worker = self._free()
            found = self._checked_by(worker, runs)
            if found is not None:
                return found
            self._workers.discard(worker)
            how = worker.failure() or "ended"
            worker.end()
        raise ProcessLost(f"the process that checks the runs {how}, {_TRIES} times. See that there is memory left.")

    def _checked_by(self, worker: _StudyWorker, runs: Sequence[PlannedRun]) -> list[RunConfiguration] | None:
        """What a process says of runs; None where it ends before it has."""
        worker.check(runs)
        found: list[RunConfiguration] = []
        while len(found) < len(runs):
            each, event = self._events.get()
            if each is not worker:
                continue
            if event is None:
                return None
            if event["event"] == "refused":
                raise InputError(f"{runs[event['index']].what}: {event['text']}")
            if event["event"] == "checked":
                found.append(RunConfiguration.parse(event["config"]))
        return found

    def _free(self) -> _StudyWorker:
        """A process that does nothing yet, or one more."""
        for each in self._workers:
            if each.run is None and not each.ends:
                return each
        worker = _StudyWorker(self.study, self._events, self._variables)
        self._workers.add(worker)
        return worker

    def _told(self, worker: _StudyWorker, event: Mapping[str, Any]) -> Report | None:
        """What an event of a process says of the run that it makes."""
        worker.hear(event)
        if worker.run is None:
            return None
        match event:
            case {"event": "progress", **known}:
                worker.last |= {name: value for name, value in known.items() if value is not None}
                return Report(worker.run.name, "progress", **worker.last)
            case {"event": "notice", "text": text}:
                return Report(worker.run.name, "notice", text)
            case {"event": "ended", "kind": kind, "text": text, "last": last}:
                return Report(worker.finish(last=last or worker.count >= _RUNS_PER_PROCESS), kind, text)
        return None

    def _ended(self, worker: _StudyWorker) -> Report | None:
        """What it means that a process has ended."""
        self._workers.discard(worker)
        how = worker.failure()
        worker.end()
        if worker.run is None:
            return None
        name = worker.run.name
        if how is None and self._stopping:
            return Report(name, "interrupted")  # before it began
        return Report(name, "lost", f"its process {how or 'ended'}")


class _StudyWorker(Worker):
    """A process that makes runs of a study.

    - `run`: the one that it makes; None while it waits for one.
    - `last`: the newest numbers that it has told of it.
    - `count`: how many it has made. `ends`: whether it makes no more.
    """

    def __init__(self, study: StudyDirectory, events: queue.SimpleQueue, variables: Mapping[str, str]):
        words = ("steepest.studies.study_worker", str(study.path.absolute()))
        super().__init__(words, events, locks=[study.lock], variables=variables)
        self.run: PlannedRun | None = None
        self.last: dict[str, Any] = {}
        self.count, self.ends = 0, False

    def begin(self, run: PlannedRun) -> None:
        """Have it make a run."""
        self.run, self.last = run, {}
        self.hear({"event": "moves"})
        self.tell(f"make {run.dump()}")

    def check(self, runs: Sequence[PlannedRun]) -> None:
        """Have it check runs; it tells of each what it found, in order."""
        self.tell(f"check {json.dumps([dataclasses.asdict(run) for run in runs])}")

    def finish(self, *, last: bool) -> str:
        """The run that it has made is over; returns its name."""
        assert self.run is not None
        name, self.run, self.count = self.run.name, None, self.count + 1
        if last:
            self.ends = True
            self.ask_to_stop()
        return name
