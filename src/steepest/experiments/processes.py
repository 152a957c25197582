"""Seeds in processes of their own: each trains its share and says on its standard output how it goes.

The parent speaks to a worker by its standard input. One line says that all that was reported is written, which a worker
waits for before it saves a checkpoint; any other asks it to stop in an orderly way; and the end of the stream, which a
killed parent leaves behind too, ends it at once.
"""

import contextlib
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from steepest.core import errors
from steepest.experiments.configuration import RunConfiguration
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import AbstractListener

WRITTEN = "written"
"""What a worker is told once all that it has reported is written."""
RAISED = {
    kind.__name__: kind
    for kind in (errors.InputError, errors.EnvironmentFault, errors.NonFiniteError, errors.StorageFault, MemoryError)
}
_SHARED = (errors.InputError, errors.StorageFault)
"""What goes wrong in the other processes too: they share the configuration and the disk."""
_PATIENCE = 600.0
"""Seconds for which a process may stand still: compiling takes less, and steps of slow environments do."""
_PAUSE = 1.0
"""The most seconds that count between two looks at the clock: this process may have been stopped itself."""


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def share_out(seeds: Sequence[int], *, compiled: bool, cpu: bool) -> tuple[tuple[int, ...], ...]:
    """Which seeds train together in a process.

    On the host every seed has its own. Compiled seeds share one program: all of them on an accelerator, and on a CPU,
    where a program has one thread, as many as make every core busy.
    """
    if not compiled:
        return tuple((seed,) for seed in seeds)
    count = min(len(seeds), cores()) if cpu else 1
    return tuple(tuple(seeds[start::count]) for start in range(count))


def run_workers(
    config: RunConfiguration, run: RunDirectory, *, listener: AbstractListener, stop: Callable[[], bool], started: float
) -> bool:
    """Train every group of seeds in a process of its own, as many at a time as there are cores for.

    A process that does not move for `_PATIENCE` seconds is ended.

    **Returns** whether all of them finished. **Raises** the first thing that went wrong in one of them, once the others
    have finished; they are stopped in an orderly way where it would go wrong in them too.
    """
    compiled = config.backend == "compiled" or config.demonstrations is not None
    at_once = cores() if compiled else max(1, cores() // 2)
    waiting = list(range(len(config.seeds_per_process)))
    events: queue.SimpleQueue[tuple[_Group, dict[str, Any] | None]] = queue.SimpleQueue()
    running: set[_Group] = set()
    failure: Exception | None = None
    finished = stopping = shared = False
    looked = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < at_once and not stopping:
                running.add(_Group(config, run, waiting.pop(0), started, events))
            if not running:
                break
            try:
                worker, event = events.get(timeout=0.2)
            except queue.Empty:
                worker, event = None, {}
            passed, looked = min(time.monotonic() - looked, _PAUSE), time.monotonic()
            for each in running:
                each.wait(passed)
            wrong: Exception | None = None
            if worker is not None and event is None:
                running.discard(worker)
                wrong = worker.lost()
                worker.end()  # its pipes are still open
            elif event and event["event"] == "error":
                wrong = RAISED.get(event["kind"], RuntimeError)(event["message"])
            elif event and worker is not None:
                worker.hear(event)
                _tell(listener, event, worker)
            if wrong is not None and worker is not None:
                listener.notice(worker.seed, str(wrong) or "memory has run out")
                failure, shared = failure or wrong, shared or isinstance(wrong, _SHARED)
            if (shared or stop()) and not stopping:
                stopping = True
                for each in running:
                    each.ask_to_stop()
        finished = not stopping and failure is None
    finally:
        for each in running:
            each.end()
    if failure:
        raise failure
    return finished


def _tell(listener: AbstractListener, event: dict, worker: "Worker") -> None:
    """Pass on one event of a worker."""
    match event:
        case {"event": "rows", "rows": rows}:
            listener.rows(rows)
        case {"event": "evaluation", "seed": seed, "steps": steps, "returns": returns}:
            listener.evaluation(seed, steps, np.array(returns))
        case {"event": "evaluating", "seed": seed, "episodes": episodes, "ended": ended, "cut": cut}:
            listener.evaluating(seed, episodes, ended, cut)
        case {"event": "checkpoint", "seed": seed, "path": path}:
            listener.checkpoint(seed, pathlib.Path(path))
        case {"event": "notice", "seed": seed, "text": text}:
            listener.notice(seed, text)
        case {"event": "flush"}:
            listener.flush()
            worker.tell(WRITTEN)


class Worker:
    """A process of ours that reports events on its standard output, and is spoken to by its standard input.

    **Arguments**

    - `words`: what Python is started with, after `-m`.
    - `events`: where its events go, each beside the worker itself; None comes last, when it has ended.
    - `locks`: descriptors that hold what it writes to for as long as it lives.
    - `variables`: of the environment, beside ours.
    """

    def __init__(
        self,
        words: Sequence[str],
        events: queue.SimpleQueue,
        *,
        locks: Sequence[int | None] = (),
        variables: Mapping[str, str] | None = None,
    ):
        self._still, self._where, self._hangs = 0.0, "", False
        self._process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | (variables or {}) | {"PYTHONPATH": os.pathsep.join(sys.path)},  # it finds what we find
            start_new_session=True,  # Ctrl-C is the parent's to handle
            pass_fds=[each for each in locks if each is not None],
        )
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def _listen(self, events: queue.SimpleQueue) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):  # one that was killed may leave half a line
                events.put((self, json.loads(line)))
        self._process.wait()
        events.put((self, None))

    def hear(self, event: Mapping[str, Any]) -> None:
        """It has said something; only that it stands still is no sign of life."""
        if event["event"] == "still":
            self._where = event["where"]
        else:
            self._still, self._where = 0.0, ""

    def wait(self, seconds: float) -> None:
        """So many seconds more have passed; one that has stood still for too long is ended."""
        self._still += seconds
        if self._still > _PATIENCE and not self._hangs:
            self._hangs = True
            self._process.kill()

    def ask_to_stop(self) -> None:
        """Have it save and end."""
        self.tell("stop")

    def tell(self, line: str) -> None:
        """Write one line to its standard input."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended already

    def failure(self) -> str | None:
        """How it ended, in words, once it has; None where that was as it should be."""
        status = self._process.returncode
        if not status:
            return None
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        short = " (memory may have run out)" if -status == signal.SIGKILL else ""
        if self._hangs:
            how = f"did not move for {_PATIENCE:.0f} s and was ended"
            short = f" ({self._where})" if self._where else ""
        return f"{how}{short}"

    def end(self) -> None:
        """End it at once, if it has not ended, and let go of its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()


class _Group(Worker):
    """The process that trains one group of the seeds of a run."""

    def __init__(
        self, config: RunConfiguration, run: RunDirectory, group: int, started: float, events: queue.SimpleQueue
    ):
        words = ("steepest.experiments.worker", str(run.path), str(group), str(started))
        super().__init__(words, events, locks=[run.lock])
        self.seed, self._group, self._path = config.seeds_per_process[group][0], group, run.path

    def lost(self) -> errors.ProcessLost | None:
        """What a person should know where it was killed, or crashed."""
        how = self.failure()
        if how is None:
            return None
        return errors.ProcessLost(
            f"the process that trained group {self._group} of the seeds {how}. What was saved is kept. Go on with it: "
            f"steepest resume {self._path}"
        )
