"""How fast steepest is here, and how far that is from what the machine and the environments allow.

Usage: `python benchmarks/bench.py [--quick] [--only TEXT] [--json FILE]`. `README.md` says what the numbers mean.
"""

import argparse
import dataclasses
import importlib.util
import json
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from harness import FOLDER, Summary, Worker, announce, machine, write
from rich.console import Console
from rich.table import Table

from steepest.experiments.configuration import versions


@dataclasses.dataclass(frozen=True)
class Case:
    """One training to be measured."""

    title: str
    env: str
    backend: str
    hyper_parameters: dict[str, Any]


CASES = (
    Case(
        "CartPole-v1, 64 × 32, minibatch 512, 4 epochs",
        "CartPole-v1",
        "compiled",
        {"num_envs": 64, "segment_length": 32, "minibatch_size": 512, "epochs": 4, "learning_rate": 1e-3},
    ),
    Case(
        "CartPole-v1, 8 × 32, minibatch 256, 20 epochs",
        "CartPole-v1",
        "compiled",
        {"num_envs": 8, "segment_length": 32, "minibatch_size": 256, "epochs": 20, "learning_rate": 1e-3},
    ),
    Case(
        "HalfCheetah-v5, (16 + 16) × 64, minibatch 64, 10 epochs",
        "HalfCheetah-v5",
        "envpool",
        {
            "num_envs": 32,
            "segment_length": 64,
            "minibatch_size": 64,
            "epochs": 10,
            "normalise_observations": True,
            "scale_rewards": True,
        },
    ),
)


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured of a case.

    - `training`, `environment`: steps per second. `update`, `peak`: FLOP per second, of the update and of the machine.
    - `cold`, `cached`: what the first update took without and with a compilation cache, and the memory it needed.
    """

    case: Case
    device: str
    training: Summary
    environment: Summary
    update: Summary
    peak: Summary
    cold: dict[str, Any]
    cached: dict[str, Any]

    @property
    def share(self) -> Summary:
        """Training as a share of the environment's own speed."""
        return self.training.over(self.environment)

    def dump(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **dataclasses.asdict(self.case),
            "device": self.device,
            "training_steps_per_second": self.training.dump(),
            "environment_steps_per_second": self.environment.dump(),
            "training_over_environment": self.share.dump(),
            "update_flop_per_second": self.update.dump(),
            "peak_flop_per_second": self.peak.dump(),
            "update_over_peak": self.update.over(self.peak).dump(),
            "first_update_cold": self.cold,
            "first_update_cached": self.cached,
        }


def measure(case: Case, *, repeats: int, seconds: float) -> Result:
    """Measure a case in three fresh processes: without a cache; filling one, and then all the speeds; with a cache."""
    command = [
        sys.executable,
        FOLDER / "measure.py",
        json.dumps({"env": case.env, "backend": case.backend, "hyper_parameters": case.hyper_parameters}),
        str(seconds),
    ]
    with tempfile.TemporaryDirectory() as cache:
        announce(f"{case.title}: compiling, no cache")
        with Worker(command, STEEPEST_COMPILATION_CACHE="off") as worker:
            cold = worker.ready()
        announce(f"{case.title}: compiling into a cache")
        with Worker(command, STEEPEST_COMPILATION_CACHE=cache) as worker:
            worker.ready()
            announce(f"{case.title}: compiling its parts on their own")
            worker.measure()
            rounds = []
            for repeat in range(repeats):
                announce(f"{case.title}: speeds, {repeat + 1} of {repeats}")
                rounds.append(worker.measure())
        announce(f"{case.title}: starting from the cache")
        with Worker(command, STEEPEST_COMPILATION_CACHE=cache) as worker:
            cached = worker.ready()
    speeds = {name: Summary.of(each[name] for each in rounds) for name in rounds[0]}
    return Result(
        case=case,
        device=cold.pop("device"),
        training=speeds["training"],
        environment=speeds["environment"],
        update=speeds["update"],
        peak=speeds["peak"],
        cold=cold,
        cached={name: value for name, value in cached.items() if name != "device"},
    )


def show(results: list[Result]) -> None:
    """Print the table: a column for each case."""
    table = Table(caption="median (minimum–maximum) of the repeats")
    table.add_column("")
    for each in results:
        table.add_column(each.case.title.replace(", ", "\n"), justify="right")

    def row(name: str, cell: Callable[[Result], str], *, last: bool = False) -> None:
        table.add_row(name, *map(cell, results), end_section=last)

    row("training, 1000 steps/s", lambda each: each.training.text(1e3))
    row("environment alone, 1000 steps/s", lambda each: each.environment.text(1e3))
    row("training / environment", lambda each: each.share.text(), last=True)
    row("update, GFLOP/s", lambda each: each.update.text(1e9))
    row("matrix product, GFLOP/s", lambda each: each.peak.text(1e9))
    row("update / matrix product", lambda each: each.update.over(each.peak).text(), last=True)
    for name, start in (("cold", lambda each: each.cold), ("cached", lambda each: each.cached)):
        row(f"first update, {name}, s", lambda each, start=start: f"{start(each)['first_update']:.1f}")
        row(f"… from process start, {name}, s", lambda each, start=start: f"{start(each)['seconds_from_start']:.1f}")
        row(f"peak memory, {name}, MiB", lambda each, start=start: f"{start(each)['peak_memory'] / 2**20:,.0f}")
    console = Console()
    console.width = max(console.width, 34 + 29 * len(results))
    console.print(table)


def main() -> None:
    """Measure every case that was asked for, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the numbers there too")
    parser.add_argument("--quick", action="store_true", help="the first case, once: to see that it works")
    parser.add_argument("--only", default="", metavar="TEXT", help="the cases with this in their title")
    options = parser.parse_args()

    cases = [case for case in CASES if options.only in case.title]
    if options.quick:
        cases = cases[:1]
    if importlib.util.find_spec("envpool") is None:
        announce("EnvPool is not installed: its cases are left out (pip install 'steepest[envpool]')")
        cases = [case for case in cases if case.backend != "envpool"]
    if not cases:
        parser.error(f"no case is left with {options.only!r} in its title; there are: {[each.title for each in CASES]}")
    where = machine()
    repeats, seconds = (1, 0.3) if options.quick else (5, 1.0)
    results = [measure(case, repeats=repeats, seconds=seconds) for case in cases]
    show(results)
    content = {"machine": where, "versions": versions(), "cases": [each.dump() for each in results]}
    write(options.json, content)


if __name__ == "__main__":
    main()
