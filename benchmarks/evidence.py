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
from steepest.experiments.run_state import RunState, find_runs, run_state
from steepest.runs import metrics
from steepest.runs.plot import learning_curve

RESULTS = pathlib.Path(__file__).parent / "results"
EPISODES = 100
POINTS = 40
"""Of a learning curve."""
KEY = ("algorithm", "env", "seed", "steps")
VERSIONS = ("steepest", "python", "jax", "gymnasium", "envpool", "mujoco")
FIELDS = (*KEY, "return", "return_with_noise", "episodes", "seconds", *VERSIONS, "command")
CURVE_FIELDS = (*KEY, "at", "return")

Row = dict[str, str]


def collect(study: pathlib.Path, results: pathlib.Path) -> None:
    """Add what a study has come to, to the data of its name; rows of the same run are replaced."""
    rows, curves = results / f"{study.name}.csv", results / f"{study.name}-curves.csv"
    known, points = read(rows), read(curves)
    for path in find_runs(study):
        run = run_state(path)
        if run.state != "finished" or run.config is None:
            print(f"{path}: {run.state}. It is left out.")
            continue
        found, curve = evidence(run)
        key = tuple(found[name] for name in KEY)
        known = [row for row in known if tuple(row[name] for name in KEY) != key] + [found]
        points = [row for row in points if tuple(row[name] for name in KEY) != key] + curve
        print(f"{found['algorithm']} on {found['env']}, seed {found['seed']}: {found['return']}", flush=True)
    write(rows, FIELDS, known)
    write(curves, CURVE_FIELDS, points)


def evidence(run: RunState) -> tuple[Row, list[Row]]:
    """What one run has come to, and its learning curve."""
    config, evaluation = run.config, run.evaluation
    assert config is not None
    assert evaluation is not None
    noisy = steepest.evaluate(run.path, episodes=EPISODES, stochastic=True)
    columns = metrics.read(run.run.metrics)
    key = {
        "algorithm": config.algorithm,
        "env": config.env,
        "seed": str(config.seeds[0]),
        "steps": str(config.total_steps),
    }
    row = key | {
        "return": f"{evaluation['seeds'][0]['mean_return']:.4f}",
        "return_with_noise": f"{noisy['seeds'][0]['mean_return']:.4f}",
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
