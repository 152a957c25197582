"""The process that trains one group of seeds of a run; started by `processes`, not by people."""

import json
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Sequence

import numpy as np

from steepest.core.errors import EnvironmentFault, InputError, NonFiniteError, StorageFault, out_of_memory
from steepest.core.interrupts import SIGNALS
from steepest.experiments.configuration import read_configuration
from steepest.experiments.processes import WRITTEN
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import AbstractListener, Row


def main() -> int:
    """Train the group that the command line names, and report on standard output, one JSON object a line."""
    path, group, started = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    for each in SIGNALS:  # a scheduler may send them to all; the process that started this one answers them
        signal.signal(each, signal.SIG_IGN)
    # Only reports may appear there, whatever an environment prints.
    reports = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    stopping, written = threading.Event(), threading.Semaphore(0)
    threading.Thread(target=_listen, args=(stopping, written), daemon=True).start()

    from steepest._platform import configure_platform
    from steepest.experiments.building import task_of
    from steepest.experiments.loop import train_seeds

    def report(event: dict) -> None:
        reports.write(json.dumps(event) + "\n")

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


class Reporter(AbstractListener):
    """Reports what it hears to the process that started this one.

    **Arguments**

    - `report`: sends an event.
    - `wait`: returns once the other process says that all it was told is written.
    """

    def __init__(self, report: Callable[[dict], None], wait: Callable[[], object]):
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


def _listen(stopping: threading.Event, written: threading.Semaphore) -> None:
    for line in sys.stdin:
        if line.strip() == WRITTEN:
            written.release()
        else:
            stopping.set()
    os._exit(1)  # the parent is gone


if __name__ == "__main__":
    sys.exit(main())
