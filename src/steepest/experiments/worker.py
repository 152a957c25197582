"""The process that trains one group of seeds of a run; started by `processes`, not by people."""

import json
import os
import signal
import sys
import threading

from steepest.core.errors import EnvironmentFault, InputError, NonFiniteError, out_of_memory
from steepest.experiments.configuration import RunConfiguration
from steepest.runs.directory import RunDirectory


def main() -> int:
    """Train the group that the command line names, and report on standard output, one JSON object a line."""
    path, group, started = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Only reports may appear there, whatever an environment prints.
    reports = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    stopping = threading.Event()
    threading.Thread(target=_listen, args=(stopping,), daemon=True).start()

    from steepest._platform import configure_platform
    from steepest.experiments.session import task_of, train_seeds

    def report(event: dict) -> None:
        reports.write(json.dumps(event) + "\n")

    configure_platform()
    run = RunDirectory.existing(path)
    try:
        config = RunConfiguration.parse(run.read_config())
        seeds = config.seeds_per_process[group]
        train_seeds(config, task_of(config), seeds, run, report=report, stop=stopping.is_set, started=started)
    except (InputError, EnvironmentFault, NonFiniteError) as error:
        report({"event": "error", "kind": type(error).__name__, "message": str(error)})
    except Exception as error:
        if not out_of_memory(error):
            raise
        report({"event": "error", "kind": MemoryError.__name__, "message": ""})
    return 0


def _listen(stopping: threading.Event) -> None:
    for _ in sys.stdin:
        stopping.set()
    os._exit(1)  # the parent is gone


if __name__ == "__main__":
    sys.exit(main())
