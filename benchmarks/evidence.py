"""Evidence: what the policies of a study return, as data. `docs/make_results.py` makes a page of it.

    steepest sweep benchmarks/studies/classic_control.toml
    python benchmarks/evidence.py studies/classic_control

Every last policy plays 100 episodes with noise; what it returned without is in its run already. Writes
`results/NAME.csv`, a row for each run, and `results/NAME-curves.csv`, what it returned while it learnt.
"""

import argparse
import csv
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

import steepest
from steepest.experiments.repeating import repeating_command
from steepest.experiments.run_state import RunState, run_state
from steepest.runs import metrics
from steepest.runs.plot import learning_curve
from steepest.studies.description import read_study

RESULTS = pathlib.Path(__file__).parent / "results"
EPISODES = 100
POINTS = 30
"""Of a learning curve."""
KEY = ("algorithm", "env", "seed", "steps")
VERSIONS = ("steepest", "python", "jax", "gymnasium", "envpool", "mujoco")
FIELDS = (*KEY, "return", "return_with_noise", "episodes", "seconds", *VERSIONS, "command")
CURVE_FIELDS = (*KEY, "at", "return")

Row = dict[str, str]
Key = tuple[str, ...]


def collect(study: pathlib.Path, results: pathlib.Path) -> None:
    """Add what a study has come to, to the data of its name, wherever all seeds of an algorithm are through.

    Rows of the same run are replaced. A run that is in the data already, with all that it holds, is not played again.
    """
    rows, curves = results / f"{study.name}.csv", results / f"{study.name}-curves.csv"
    known = {key_of(row): row for row in read(rows)}
    points: dict[Key, list[Row]] = {}
    for row in read(curves):
        points.setdefault(key_of(row), []).append(row)
    for group in groups(study):
        runs = [run_state(path) for path in group if path.exists()]
        through = [run for run in runs if run.state == "finished"]
        if len(through) < len(group):
            print(
                f"{group[0].name} and its other seeds: {len(through)} of {len(group)} are through. They are left out."
            )
            continue
        for run in through:
            row, curve = evidence(run)
            key = key_of(row)
            if points.get(key) == curve and known[key] == known[key] | row:
                continue
            noisy = steepest.evaluate(run.path, episodes=EPISODES, stochastic=True)
            row["return_with_noise"] = f"{noisy['seeds'][0]['mean_return']:.4f}"
            known[key], points[key] = row, curve
            print(f"{', '.join(key)}: {row['return']}", flush=True)
    write(rows, FIELDS, known.values())
    write(curves, CURVE_FIELDS, (row for each in points.values() for row in each))


def groups(study: pathlib.Path) -> list[list[pathlib.Path]]:
    """Where the runs are that were planned, those that differ in their seed only together."""
    found: dict[str, list[pathlib.Path]] = {}
    for planned in read_study(study / "study.toml").runs:
        found.setdefault(planned.but_for_the_seed, []).append(study / "runs" / planned.name)
    return list(found.values())


def key_of(row: Row) -> Key:
    """What a row is about."""
    return tuple(row[name] for name in KEY)


def evidence(run: RunState) -> tuple[Row, list[Row]]:
    """What a run holds: its row but for the return with noise, and its learning curve."""
    config, evaluation = run.config, run.evaluation
    assert config is not None
    assert evaluation is not None
    about = (config.algorithm, config.env, config.seeds[0], config.total_steps)
    key = dict(zip(KEY, map(str, about), strict=True))
    columns = metrics.read(run.run.metrics)
    row = key | {
        "return": f"{evaluation['seeds'][0]['mean_return']:.4f}",
        "episodes": str(evaluation["episodes"]),
        "seconds": f"{np.nanmax(columns['wall_time']):.0f}",
        "command": repeating_command(config),
    }
    row |= {name: config.versions.get(name, "") for name in VERSIONS}
    steps, returns = learning_curve(columns)
    chosen = np.unique(np.linspace(0, len(steps) - 1, POINTS).astype(int)) if len(steps) else []
    return row, [key | {"at": f"{steps[each]:.0f}", "return": f"{returns[each, 0]:.3f}"} for each in chosen]


def read(path: pathlib.Path) -> list[Row]:
    """The rows of a file; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: pathlib.Path, fields: Sequence[str], rows: Iterable[Row]) -> None:
    """Rows in the order of what they are about, so that a change is a small difference."""

    def place(row: Row) -> tuple:
        return row["env"], row["algorithm"], int(row["steps"]), int(row["seed"]), int(row.get("at", 0))

    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=place))


def main() -> None:
    """Collect what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=pathlib.Path, nargs="+", help="a directory that steepest sweep has made")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="where the data is")
    given = parser.parse_args()
    for study in given.study:
        collect(study, given.results)


if __name__ == "__main__":
    main()
