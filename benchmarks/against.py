"""Training speed here beside that of an earlier commit, in turns: to see that what was added costs nothing unasked.

Usage: `python benchmarks/against.py COMMIT [--rounds N] [--only TEXT] [--json FILE]`. `README.md` says what the numbers
mean.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

from harness import FOLDER, Summary, Worker, add_processor_time, announce, machine, write
from rich.console import Console
from rich.table import Table

PENDULUM = {"env": "Pendulum-v1", "hidden": [64, 64], "discount": 0.95}
CARTPOLE = {"env": "CartPole-v1", "algorithm": "ppo", "hidden": [64, 64], "num_envs": 8, "segment_length": 128}
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "ppo, CartPole-v1": (CARTPOLE | {"minibatch_size": 256, "epochs": 10}, "compiled"),
    "ppo, Gymnasium's CartPole-v1": (CARTPOLE | {"minibatch_size": 256, "epochs": 4}, "gymnasium"),
    "trpo, Pendulum-v1": (
        PENDULUM | {"algorithm": "trpo", "num_envs": 8, "segment_length": 200, "minibatch_size": 80},
        "compiled",
    ),
    "ddpg, Pendulum-v1": (PENDULUM | {"algorithm": "ddpg"}, "compiled"),
}
"""By name, hyper-parameters and who runs the environments."""


def measure(
    name: str, trees: dict[str, pathlib.Path], variables: dict[str, str], *, rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
    """By tree, the steps per second of each round, and what compiling and making the first update took."""
    settings, backend = CASES[name]
    command = [sys.executable, FOLDER / "peers" / "steepest_training.py", json.dumps(settings), str(seconds), backend]
    found: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as stack:
        workers = {}
        for tree, root in trees.items():
            announce(f"{name}: starting {tree}")
            path = os.pathsep.join((str(FOLDER), str(root / "src")))
            worker = Worker(command, STEEPEST_COMPILATION_CACHE="off", PYTHONPATH=path, **variables)
            workers[tree] = stack.enter_context(worker)
            found[tree] = {"first_update": worker.ready()["compile_seconds"], "steps_per_second": []}
        for _ in range(rounds):
            for tree, worker in workers.items():
                found[tree]["steps_per_second"].append(worker.measure()["steps_per_second"])
    announce(f"{name}: now / before {_speed(found, 'now').over(_speed(found, 'before')).text()}")
    return found


def _speed(found: dict[str, dict[str, Any]], tree: str) -> Summary:
    return Summary.of(found[tree]["steps_per_second"])


def main() -> None:
    """Measure both trees in turns, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("commit", help="what to measure beside the files as they are now")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="the cases with this in their name")
    add_processor_time(parser)
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the numbers there too")
    options = parser.parse_args()

    here, where, results = FOLDER.parent, machine(), {}
    with tempfile.TemporaryDirectory() as folder:
        before = pathlib.Path(folder) / "before"
        git = ["git", "-C", str(here), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(before), options.commit], check=True)
        try:
            for name in CASES:
                if options.only in name:
                    trees = {"before": before, "now": here}
                    how = {"rounds": options.rounds, "seconds": options.seconds}
                    results[name] = measure(name, trees, options.processor_time, **how)
        finally:
            subprocess.run([*git, "remove", "--force", str(before)], check=True)
    columns = ("steps/s before", "steps/s now", "now / before", "first update, before", "now, s")
    table = Table("", *columns)
    for name, found in results.items():
        before, now = (_speed(found, tree) for tree in ("before", "now"))
        first = [f"{found[tree]['first_update']:.1f}" for tree in ("before", "now")]
        table.add_row(name, before.text(), now.text(), now.over(before).text(), *first)
    console = Console()
    console.width = max(console.width, 130)
    console.print(table)
    write(options.json, {"machine": where, "commit": options.commit, "cases": results})


if __name__ == "__main__":
    main()
