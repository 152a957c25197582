"""Runs on a Ray cluster: actors, each with a process that makes runs as those on this machine do."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import socket
import time
import uuid
from collections.abc import Sequence

from steepest.core.errors import InputError
from steepest.core.files import read_at_most
from steepest.experiments.configuration import RunConfiguration
from steepest.experiments.processes import cores
from steepest.studies.engine import AbstractExecutor, Report
from steepest.studies.local import LocalExecutor
from steepest.studies.planned import PlannedRun
from steepest.studies.study_directory import StudyDirectory
from steepest.training import cluster
from steepest.training.cluster import Cluster, Died

_MOMENT = 0.5
"""Seconds after which an actor answers that it has heard nothing new."""
_COUNT_EVERY = 2.0
"""Seconds between two looks at how many processors there are."""
_MARK = ".cluster"
"""The file that shows an actor that it sees the directory of the study."""


class RayExecutor(AbstractExecutor):
    """Makes runs on a Ray cluster.

    An actor keeps a process that makes runs, one after the other, and ends with it. What a lost machine was making is
    reported as lost, and the engine has it go on elsewhere from its checkpoints. So the directory of the study must be
    on a disk that every machine sees under the same path; that is tried before a run begins.

    **Arguments**

    - `address`: `auto`, `HOST:PORT`, or `local` to start a cluster on this machine.
    - `processes`: how many processors may be busy at once; all of the cluster when left out.

    **Raises** `InputError` where Ray is not installed, or does not answer.
    """

    def __init__(self, study: StudyDirectory, address: str, processes: int | None = None):
        super().__init__(study)
        self.check_address(address)
        self._mark = uuid.uuid4().hex
        self._processes = processes
        self._cluster = Cluster(address, (processes or cores()) if address == "local" else 1)
        self._making: dict[object, PlannedRun] = {}
        self._idle: dict[object, int] = {}
        self._heard: list[Report] = []
        self._needs: dict[object, int] = {}
        self._answered: set[object] = set()
        self._counted, self._there = -_COUNT_EVERY, 1
        self._stopping = False
        (study.path / _MARK).write_text(self._mark)

    @staticmethod
    def check_address(address: str) -> None:
        """**Raises** `InputError` where Ray is not installed, or does not answer at an address."""
        cluster.check(address, "a sweep with --ray-address")

    @property
    def capacity(self) -> int:
        if time.monotonic() - self._counted > _COUNT_EVERY:  # machines come and go
            self._counted, self._there = time.monotonic(), max(1, self._cluster.processors)
        return self._there if self._processes is None else min(self._there, self._processes)

    def configurations(self, runs: Sequence[PlannedRun]) -> list[RunConfiguration]:
        with LocalExecutor(self.study, 1) as here:
            return here.configurations(runs)

    def start(self, run: PlannedRun) -> None:
        needs = min(run.processors, self.capacity)
        actor = next((each for each, has in self._idle.items() if has == needs), None)
        if actor is None:
            for each in list(self._idle):  # their processors are needed
                self._end(each)
            actor = self._cluster.start(Maker, str(self.study.path.absolute()), self._mark, processors=needs)
            self._needs[actor] = needs
        self._idle.pop(actor, None)
        self._making[actor] = run
        self._cluster.ask(actor, "make", run.dump())

    def next_report(self, timeout: float) -> Report | None:
        if self._heard:
            return self._heard.pop(0)
        if not self._making:
            time.sleep(timeout)
            return None
        found = self._cluster.answer_within(timeout)
        if found is None:
            return None
        actor, answer = found
        run = self._making.get(actor)
        self._answered.add(actor)
        if isinstance(answer, Died):
            self._forget(actor)
            return None if run is None else Report(run.name, "lost", f"its process on the cluster was lost ({answer})")
        if run is None:
            return None
        self._heard += [Report(**each) for each in answer]
        if any(each.kind not in ("progress", "notice") for each in self._heard if each.run == run.name):
            del self._making[actor]
            self._idle[actor] = self._needs[actor]
        else:
            self._cluster.ask(actor, "stop" if self._stopping else "hear")
        return self._heard.pop(0) if self._heard else None

    def ask_to_stop(self) -> None:
        self._stopping = True
        for actor, run in list(self._making.items()):
            if actor not in self._answered:  # it waits for a processor
                self._end(actor)
                self._heard.append(Report(run.name, "interrupted"))

    def close(self) -> None:
        self._cluster.close()
        (self.study.path / _MARK).unlink(missing_ok=True)

    def _forget(self, actor: object) -> None:
        for known in (self._making, self._idle, self._needs):
            known.pop(actor, None)
        self._answered.discard(actor)

    def _end(self, actor: object) -> None:
        self._forget(actor)
        self._cluster.end(actor)


class Maker:
    """What an actor holds: a process that makes runs of a study.

    **Arguments**

    - `path`: of the study.
    - `mark`: what is in a file there, if this machine sees that directory.
    """

    def __init__(self, path: str, mark: str):
        os.environ.pop("OMP_NUM_THREADS", None)  # Ray's, and not for the processes of runs
        self._study, self._mark = StudyDirectory(path), mark
        self._executor = LocalExecutor(self._study, 1)

    def answer(self, question: str, run: str = "") -> list[dict]:
        """Begin to make a run, hear of it, or have it stop; returns what was heard within a moment."""
        if question == "make":
            planned = PlannedRun.parse(run)
            if not self._sees_the_study():
                text = (
                    f"{socket.gethostname()} does not see {self._study.path}. Put the study on a disk that all share."
                )
                return [dataclasses.asdict(Report(planned.name, "failed", text))]
            self._executor.start(planned)
        if question == "stop":
            self._executor.ask_to_stop()
        until, heard = time.monotonic() + _MOMENT, []
        while (left := until - time.monotonic()) > 0:
            report = self._executor.next_report(left)
            if report is not None:
                heard.append(dataclasses.asdict(report))
                if report.kind not in ("progress", "notice"):
                    break
        return heard

    def _sees_the_study(self) -> bool:
        try:
            return read_at_most(pathlib.Path(self._study.path) / _MARK, 1024).decode() == self._mark
        except (InputError, UnicodeDecodeError):
            return False
