"""The engine of studies: makes runs as executors have room for them, and says how each ended.

    with LocalExecutor(study) as executor:
        runs = executor.check(runs)             # everything that can be checked before anything starts
        engine = Engine(study, executor)
        for run in runs:
            engine.submit(run)
        for ended in engine.ended(stop):        # more can be submitted meanwhile
            …

Runs that were made before are left as they are, and those that have begun go on from their checkpoints.
"""

from __future__ import annotations

import abc
import collections
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from steepest.experiments.configuration import RunConfiguration
from steepest.studies.begun import checked
from steepest.studies.planned import PlannedRun
from steepest.studies.study_directory import PlannedRunState, StudyDirectory

_LOOK = 0.2
"""Seconds between two looks at whether something was asked to stop."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What an executor hears of a run.

    - `kind`: `progress`; `notice`, something that a person should know; or how it ended: `finished`, `interrupted` in
      an orderly way, `failed`, or `lost` with the process that trained it.
    - `text`: why it failed or was lost, or the notice.
    - `steps`: environment steps so far; `recent`: the latest mean return, and `speed`, environment steps a second.
    - `evaluating`: how many episodes of the evaluation have ended, in words; empty while it trains.
    """

    run: str
    kind: Literal["progress", "notice", "finished", "interrupted", "failed", "lost"]
    text: str = ""
    steps: int = 0
    recent: float | None = None
    speed: float | None = None
    evaluating: str = ""


class AbstractExecutor(abc.ABC):
    """Where runs are made: processes on this machine, or on a cluster.

    **Arguments**

    - `study`: where the runs are kept.
    """

    def __init__(self, study: StudyDirectory):
        self.study = study

    @property
    @abc.abstractmethod
    def capacity(self) -> int:
        """How many processors runs may keep busy at once."""

    @abc.abstractmethod
    def configurations(self, runs: Sequence[PlannedRun]) -> list[RunConfiguration]:
        """Check everything that can be checked of runs without making any.

        **Returns** for each of them what its `config.json` says, or would say.

        **Raises** `InputError` for the first that cannot be made.
        """

    def check(self, runs: Sequence[PlannedRun]) -> list[PlannedRun]:
        """The same runs, each with the processors that it keeps busy.

        **Raises** `InputError` for the first that cannot be made, or has begun as another run.
        """
        return checked(self.study, runs, self.configurations(runs))

    @abc.abstractmethod
    def start(self, run: PlannedRun) -> None:
        """Begin a run, or go on with it from its newest checkpoint."""

    @abc.abstractmethod
    def next_report(self, timeout: float) -> Report | None:
        """Wait for something to be heard of any run that was started; None when nothing was within `timeout` seconds.

        The last report of a run says how it ended.
        """

    @abc.abstractmethod
    def ask_to_stop(self) -> None:
        """Have all runs saved and interrupted."""

    @abc.abstractmethod
    def close(self) -> None:
        """End everything at once."""

    def __enter__(self) -> AbstractExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AbstractWatcher:
    """Somebody who watches runs. Every method does nothing unless it is overridden."""

    def started(self, run: PlannedRun, again: bool) -> None:
        """A run begins, or goes on; `again` after its process was lost."""

    def progress(self, run: PlannedRun, report: Report) -> None:
        """A run has come further."""

    def notice(self, run: PlannedRun, text: str) -> None:
        """Something that a person should know of a run."""

    def ended(self, run: PlannedRun, state: PlannedRunState) -> None:
        """A run is complete, has failed, or was interrupted."""

    def tick(self) -> None:
        """Some time has passed."""


class Engine:
    """Makes runs, as many at a time as there is room for.

    **Arguments**

    - `study`: where the runs are kept; whoever makes an engine holds it.
    - `executor`: where they are made.
    - `watcher`: hears of everything on the way.
    - `retries`: how often a run goes on from its checkpoints after its process was lost; after that it has failed.
    """

    def __init__(
        self,
        study: StudyDirectory,
        executor: AbstractExecutor,
        *,
        watcher: AbstractWatcher | None = None,
        retries: int = 2,
    ):
        self._study, self._executor, self._retries = study, executor, retries
        self._watcher = watcher or AbstractWatcher()
        self._waiting: collections.deque[PlannedRun] = collections.deque()
        self._running: dict[str, PlannedRun] = {}
        self._lost: collections.Counter[str] = collections.Counter()

    def submit(self, run: PlannedRun) -> None:
        """Have a run made when there is room. One that is complete already ends at once."""
        self._waiting.append(run)

    @property
    def busy(self) -> int:
        """How many runs are being made or wait."""
        return len(self._waiting) + len(self._running)

    @property
    def idle(self) -> int:
        """How many processors nothing waits for: so many more runs of one processor would start at once."""
        return max(0, self._executor.capacity - sum(map(self._needs, [*self._running.values(), *self._waiting])))

    def ended(self, stop: Callable[[], bool] = lambda: False) -> Iterator[tuple[PlannedRun, PlannedRunState]]:
        """Make all runs that were submitted, and those that still are while this goes on; yields each as it ends.

        A run that fails is one that has ended, with the state `failed`; the rest goes on.

        **Arguments**

        - `stop`: asked now and then; when it says yes, what runs is saved and ends as `interrupted`, and nothing new
          begins.
        """
        stopping = False
        while True:
            if stop() and not stopping:
                stopping = True
                self._waiting.clear()
                self._executor.ask_to_stop()
            while self._waiting and not stopping and self._fits(self._waiting[0]):
                run = self._waiting.popleft()
                state = self._study.state(run)
                if state.state == "complete":
                    yield run, state
                else:
                    self._start(run, again=False)
            if not self._running:
                if not self._waiting or stopping:
                    return
                continue
            report = self._executor.next_report(_LOOK)
            self._watcher.tick()
            found = None if report is None else self._hear(report, stopping)
            if found is not None:
                yield found

    def _start(self, run: PlannedRun, *, again: bool) -> None:
        self._running[run.name] = run
        self._watcher.started(run, again)
        self._executor.start(run)

    def _needs(self, run: PlannedRun) -> int:
        return min(run.processors, self._executor.capacity)

    def _fits(self, run: PlannedRun) -> bool:
        return sum(map(self._needs, self._running.values())) + self._needs(run) <= self._executor.capacity

    def _hear(self, report: Report, stopping: bool) -> tuple[PlannedRun, PlannedRunState] | None:
        """What a report means; how its run ended, if it did."""
        run = self._running[report.run]
        if report.kind == "progress":
            self._watcher.progress(run, report)
            return None
        if report.kind == "notice":
            self._watcher.notice(run, report.text)
            return None
        if report.kind == "lost" and not stopping and self._lost[run.name] < self._retries:
            self._lost[run.name] += 1
            self._watcher.notice(run, f"{report.text}; it goes on from its newest checkpoint")
            self._start(run, again=True)
            return None
        del self._running[run.name]
        failed = report.kind == "failed" or (report.kind == "lost" and not stopping)
        if failed:
            self._study.record_failure(run.name, report.text)
        else:
            self._study.forget_failure(run.name)
        state = self._study.state(run)
        if failed:  # though a process that was lost may not have ended yet
            state = dataclasses.replace(state, state="failed", message=report.text)
        self._watcher.ended(run, state)
        return run, state
