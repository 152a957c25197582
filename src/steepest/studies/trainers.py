"""Who trains the seeds of trials: processes that share one program and keep nothing, or the engine of studies."""

from __future__ import annotations

import abc
import collections
import dataclasses
import json
import queue
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

from steepest.core.errors import ProcessLost
from steepest.experiments.processes import Worker
from steepest.studies.engine import AbstractExecutor, AbstractWatcher, Engine
from steepest.studies.planned import PlannedRun
from steepest.studies.study_directory import StudyDirectory

_LOOK = 0.2
"""Seconds between two looks at whether something was asked to stop."""
_PAUSE = 1.0
"""The most seconds that count between two looks at the clock: this process may have been stopped itself."""
_RETRIES = 2
"""How often a training is begun again whose process was lost."""


@dataclasses.dataclass(frozen=True)
class Training:
    """One seed of one trial.

    - `program`: trainings where it is the same differ in numbers only.
    """

    trial: int
    seed: int
    hyper: Mapping[str, object]
    program: Hashable = None


@dataclasses.dataclass(frozen=True)
class Reached:
    """How a training ended: the mean return of its last policy; None where it was stopped, or failed for a `reason`."""

    training: Training
    mean_return: float | None
    reason: str = ""


class AbstractTrainer(abc.ABC):
    """Trains what is submitted, as much at once as there is room for."""

    @property
    @abc.abstractmethod
    def idle(self) -> int:
        """How many more trainings would begin at once."""

    @abc.abstractmethod
    def submit(self, training: Training) -> None:
        """Have it trained when there is room."""

    @abc.abstractmethod
    def ended(self, stop: Callable[[], bool]) -> Iterator[Reached]:
        """Train all that was submitted, and that still is while this goes on; yields each as it ends.

        **Arguments**

        - `stop`: asked now and then; when it says yes, what is being trained ends, and nothing new begins.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """End everything at once."""


class RunsTrainer(AbstractTrainer):
    """Every training is a run of a study, so that one that was interrupted goes on from its checkpoints.

    **Arguments**

    - `study`: where the runs are kept.
    - `executor`: where they are made.
    - `describe`: a training as a run.
    """

    def __init__(
        self,
        study: StudyDirectory,
        executor: AbstractExecutor,
        describe: Callable[[Training], PlannedRun],
        watcher: AbstractWatcher | None = None,
    ):
        self._executor, self._describe = executor, describe
        self._engine = Engine(study, executor, watcher=watcher)
        self._trainings: dict[str, Training] = {}

    @property
    def idle(self) -> int:
        return self._engine.idle

    def submit(self, training: Training) -> None:
        run = self._describe(training)
        self._trainings[run.name] = training
        self._engine.submit(run)

    def ended(self, stop: Callable[[], bool]) -> Iterator[Reached]:
        for run, state in self._engine.ended(stop):
            reason = state.message if state.state == "failed" else ""
            yield Reached(self._trainings.pop(run.name), state.mean_return, reason)

    def close(self) -> None:
        self._executor.close()


class SharedProgramTrainer(AbstractTrainer):
    """Trainings on a compiled environment, in processes that compile once for all that differ in numbers only.

    **Arguments**

    - `settings`: what a process needs to know; see `trial_worker`.
    - `processes`: how many, at most. On an accelerator there is one, which trains many side by side.
    """

    def __init__(self, settings: Mapping[str, object], processes: int, watcher: AbstractWatcher | None = None):
        self._settings, self._processes = json.dumps(settings), processes
        self._watcher = watcher or AbstractWatcher()
        self._events: queue.SimpleQueue[tuple[_TrialWorker, dict[str, Any] | None]] = queue.SimpleQueue()
        self._waiting: collections.deque[Training] = collections.deque()
        self._lost: collections.Counter[tuple[int, int]] = collections.Counter()
        self._lanes: int | None = None
        self._workers = {self._new()}
        while self._lanes is None:
            self._hear(None)

    def _new(self) -> _TrialWorker:
        return _TrialWorker(self._settings, self._events)

    @property
    def idle(self) -> int:
        lanes = self._lanes or 1
        room = self._processes if lanes == 1 else lanes
        return max(0, room - len(self._waiting) - sum(len(each.trains) for each in self._workers))

    def submit(self, training: Training) -> None:
        self._waiting.append(training)

    def ended(self, stop: Callable[[], bool]) -> Iterator[Reached]:
        stopping = False
        while True:
            if stop() and not stopping:
                stopping = True
                self._waiting.clear()
                for each in self._workers:
                    each.ask_to_stop()
            if not stopping:
                self._begin()
            if not any(each.trains for each in self._workers):
                return
            yield from self._hear(stopping)
            self._watcher.tick()

    def _begin(self) -> None:
        """Give processes that do nothing something to do; on an accelerator all that shares a program."""
        while self._waiting:
            worker = next((each for each in self._workers if not each.trains), None)
            if worker is None:
                if self._lanes != 1 or len(self._workers) >= self._processes:
                    return
                worker = self._new()
                self._workers.add(worker)
            first = self._waiting.popleft()
            together = [first]
            for each in list(self._waiting):
                if each.program == first.program and len(together) < (self._lanes or 1):
                    self._waiting.remove(each)
                    together.append(each)
            worker.begin(together)

    def _hear(self, stopping: bool | None) -> list[Reached]:
        """What the next event means, if any comes soon."""
        try:
            worker, event = self._events.get(timeout=_LOOK)
        except queue.Empty:
            worker, event = None, {}
        for each in self._workers:
            each.look()
        if worker is None:
            return []
        if event is None:
            return self._ended(worker, stopping)
        worker.hear(event)
        match event:
            case {"event": "ready", "lanes": lanes}:
                self._lanes = lanes
            case {"event": "ended", "trial": trial, "seed": seed, "value": value, "reason": reason}:
                return [Reached(worker.trains.pop((trial, seed)), value, reason)]
        return []

    def _ended(self, worker: _TrialWorker, stopping: bool | None) -> list[Reached]:
        """What it means that a process has ended: what it trained is begun again, or has failed."""
        self._workers.discard(worker)
        how = worker.failure()
        worker.end()
        if stopping is None:
            raise ProcessLost(f"the process that trains trials {how or 'ended'}. Try again.")
        found = []
        for key, training in worker.trains.items():
            self._lost[key] += 1
            if stopping:
                found.append(Reached(training, None))
            elif self._lost[key] > _RETRIES:
                found.append(Reached(training, None, f"its process {how or 'ended'}"))
            else:
                self._waiting.appendleft(training)
        return found

    def close(self) -> None:
        for each in self._workers:
            each.end()
        self._workers.clear()


class _TrialWorker(Worker):
    """A process that trains seeds of trials; `trains` are those that it has not told of yet."""

    def __init__(self, settings: str, events: queue.SimpleQueue):
        super().__init__(("steepest.studies.trial_worker", settings), events)
        self.trains: dict[tuple[int, int], Training] = {}
        self._looked = time.monotonic()

    def begin(self, trainings: list[Training]) -> None:
        """Have it train these."""
        self.trains = {(each.trial, each.seed): each for each in trainings}
        self.hear({"event": "moves"})
        asked = [{"trial": each.trial, "seed": each.seed, "hyper": each.hyper} for each in trainings]
        self.tell(json.dumps(asked))

    def look(self) -> None:
        """Some time has passed; one that stands still for too long while it has something to do is ended."""
        passed, self._looked = min(time.monotonic() - self._looked, _PAUSE), time.monotonic()
        if self.trains:
            self.wait(passed)
