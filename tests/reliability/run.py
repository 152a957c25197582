"""What befalls runs, tried many times: kills, damage, full disks, bad input.

    python tests/reliability/run.py [--only NAME …] [--trials N] [--seed S] [--out FILE]

Prints a table, and writes it into `docs/reliability.md`: of the trials that were made; the rows of others stay. Ctrl-C
ends it with what was seen so far. Exit status 1 if a trial found something wrong.
"""

import argparse
import importlib
import os
import pathlib
import sys
import tempfile
import time
import warnings

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np

from reliability import kills, sweep
from reliability.trial import Seen, Setting, Trial
from steepest.experiments.configuration import versions

FILES = ("siblings", "inputs", "damage", "malice", "full_disk", "memory", "workers")
TRIALS: dict[str, Trial] = {
    **kills.TRIALS,
    **{name: importlib.import_module(f"reliability.{name}").TRIAL for name in FILES},
    **sweep.TRIALS,
}
REPORT = pathlib.Path(__file__).parents[2] / "docs" / "reliability.md"
HEAD = """# What befalls runs

Made by `make reliability`. What happens to runs is tried many times, and every time it is seen whether anything was
lost, whether what is wrong was said in one line, and whether the run goes on. The trials are in `tests/reliability/`;
`make test` makes each of them a few times.

| trial | how many | what was seen | worst case | seconds | verdict | with |
|---|---|---|---|---|---|---|
"""


def row(trial: Trial, seen: Seen, seconds: float, about: str) -> str:
    """The line of one trial in the table."""
    found = seen.skipped or seen.found
    cells = (trial.title, f"{seen.count:,}", found, seen.worst, f"{seconds:.0f}", seen.verdict, about)
    return f"| {' | '.join(' '.join(each.split()).replace('|', '/') for each in cells)} |"


def written(path: pathlib.Path) -> dict[str, str]:
    """The rows that are in a report already, by the title of their trial."""
    lines = path.read_text().splitlines() if path.exists() else []
    titles = {trial.title for trial in TRIALS.values()}
    found = {line.removeprefix("| ").split(" | ")[0]: line for line in lines if line.startswith("| ")}
    return {title: line for title, line in found.items() if title in titles}


def main() -> int:
    """Make trials, one after the other; returns the exit status."""
    parser = argparse.ArgumentParser(description="what befalls runs, tried many times")
    parser.add_argument("--only", nargs="+", choices=TRIALS, default=TRIALS, metavar="NAME", help=", ".join(TRIALS))
    parser.add_argument("--trials", type=int, help="how many of each; its own number when left out")
    parser.add_argument("--seed", type=int, default=0, help="of what is left to chance")
    parser.add_argument("--out", type=pathlib.Path, default=REPORT, help="where the table is written")
    given = parser.parse_args()
    rows, bad = written(given.out), False
    os.environ.setdefault("STEEPEST_COMPILATION_CACHE", tempfile.mkdtemp(prefix="steepest-reliability-"))
    warnings.simplefilter("ignore", RuntimeWarning)  # what trials look at, they look at themselves
    for name in given.only:
        trial, began = TRIALS[name], time.monotonic()

        def tell(done: int, word: str, name: str = name) -> None:
            if sys.stderr.isatty() or done % 10 == 0:
                end = "\r" if sys.stderr.isatty() else "\n"
                print(f"{name}: {done} ({word})".ljust(70), end=end, file=sys.stderr, flush=True)

        try:
            with tempfile.TemporaryDirectory(prefix=f"steepest-{name}-") as folder:
                count = given.trials or trial.count
                seen = trial.run(Setting(count, np.random.default_rng(given.seed), pathlib.Path(folder), tell))
        except KeyboardInterrupt:
            print("\ninterrupted; the table has what was seen so far", file=sys.stderr)
            return 130
        about = f"`--only {name} --trials {count} --seed {given.seed}`, {_versions()}"
        rows[trial.title] = row(trial, seen, time.monotonic() - began, about)
        print(rows[trial.title], *seen.faults, sep="\n", flush=True)
        bad = bad or bool(seen.faults)
        order = [each.title for each in TRIALS.values() if each.title in rows]
        given.out.write_text(HEAD + "".join(f"{rows[title]}\n" for title in order))
    return int(bad)


def _versions() -> str:
    found = versions()
    return ", ".join(f"{name} {found[name]}" for name in ("steepest", "python", "jax")) + f", {found['machine']}"


if __name__ == "__main__":
    sys.exit(main())
