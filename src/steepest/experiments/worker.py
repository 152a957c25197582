"""The process that trains one group of seeds of a run; started by `processes`, not by people."""

import contextlib
import json
import os
import pathlib
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from steepest.core.errors import EnvironmentFault, InputError, NonFiniteError, StorageFault, out_of_memory
from steepest.core.interrupts import SIGNALS
from steepest.experiments.configuration import read_configuration
from steepest.experiments.processes import WRITTEN
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import AbstractListener, Row

Report = Callable[[Mapping[str, object]], None]
"""Sends an event."""
_BEAT = 1.0
"""Seconds between two signs of life."""
_COMPUTES = 1e-3
"""Seconds of computing that make a sign of life. A step of a slow environment takes less, several take more."""


def main() -> int:
    """Train the group that the command line names, and report on standard output, one JSON object a line."""
    path, group, started = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    stopping, written = threading.Event(), threading.Semaphore(0)

    def heard(line: str) -> None:
        if line == WRITTEN:
            written.release()
        else:
            stopping.set()

    with reporting(heard) as report:
        from steepest._platform import configure_platform
        from steepest.experiments.building import task_of
        from steepest.experiments.loop import train_seeds

        configure_platform()
        run = RunDirectory.existing(path)
        try:
            config = read_configuration(run)
            seeds = config.seeds_per_process[group]
            listener = Reporter(report, written.acquire)
            train_seeds(config, task_of(config), seeds, run, listener=listener, stop=stopping.is_set, started=started)
        except (InputError, EnvironmentFault, NonFiniteError, StorageFault) as error:
            report({"event": "error", "kind": type(error).__name__, "message": str(error)})
        except Exception as error:
            if not out_of_memory(error):
                raise
            report({"event": "error", "kind": MemoryError.__name__, "message": ""})
    return 0


@contextlib.contextmanager
def reporting(heard: Callable[[str], None]) -> Iterator[Report]:
    """Report to the process that started this one, as `processes.Worker` does: by the function that this yields.

    Signals are not heard, whatever is printed goes to the standard error, a thread says every second whether this
    process computes, and the process ends at once with the one that started it.

    **Arguments**

    - `heard`: called with every line that comes from there, in a thread of its own.
    """
    for each in SIGNALS:  # a scheduler may send them to all; the process that started this one answers them
        signal.signal(each, signal.SIG_IGN)
    # Only reports may appear there, whatever an environment prints.
    reports = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    threading.Thread(target=_listen, args=(heard,), daemon=True).start()
    lock = threading.Lock()

    def report(event: Mapping[str, object]) -> None:
        with lock:
            reports.write(json.dumps(event) + "\n")

    ended = threading.Event()
    beat = threading.Thread(target=_beat, args=(report, ended), daemon=True)
    beat.start()
    try:
        yield report
    finally:
        ended.set()
        beat.join()


class Reporter(AbstractListener):
    """Reports what it hears to the process that started this one.

    **Arguments**

    - `report`: sends an event.
    - `wait`: returns once the other process says that all it was told is written.
    """

    def __init__(self, report: Report, wait: Callable[[], object]):
        self._report, self._wait = report, wait

    def rows(self, rows: Sequence[Row]) -> None:
        self._report({"event": "rows", "rows": list(rows)})

    def evaluation(self, seed: int, steps: int, returns: np.ndarray) -> None:
        self._report({"event": "evaluation", "seed": seed, "steps": steps, "returns": returns.tolist()})

    def evaluating(self, seed: int, episodes: int, ended: int, cut: int) -> None:
        self._report({"event": "evaluating", "seed": seed, "episodes": episodes, "ended": ended, "cut": cut})

    def checkpoint(self, seed: int, path: pathlib.Path) -> None:
        self._report({"event": "checkpoint", "seed": seed, "path": str(path)})

    def notice(self, seed: int | None, text: str) -> None:
        self._report({"event": "notice", "seed": seed, "text": text})

    def flush(self) -> None:
        # A checkpoint must never be ahead of the table of metrics: a resumed run would leave a gap in it.
        self._report({"event": "flush"})
        self._wait()


def _beat(report: Report, ended: threading.Event) -> None:
    """Say every second whether this process computes, or where its main thread stands still; until it has ended.

    A process that is stopped says nothing.
    """
    used = 0.0
    while not ended.wait(_BEAT):
        now = time.process_time() - time.thread_time()  # this thread does not count
        if now - used > _COMPUTES:
            used = now
            report({"event": "moves"})
        else:
            from steepest.envs.adapters.faults import place_in  # not beside what the main thread imports

            stack = traceback.extract_stack(sys._current_frames()[threading.main_thread().ident or 0])
            report({"event": "still", "where": place_in(stack)})


def _listen(heard: Callable[[str], None]) -> None:
    for line in sys.stdin:
        heard(line.strip())
    os._exit(1)  # the parent is gone


if __name__ == "__main__":
    sys.exit(main())
