"""The table of what happened: one row for each update and seed."""

import csv
import fcntl
import io
import math
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from steepest.core.errors import InputError

FIRST = ("seed", "update", "steps", "wall_time", "steps_per_second", "episodes", "return", "length")
"""The columns that every algorithm has; `wall_time` is in seconds since training began."""
EVALUATED = "evaluated_return"
"""The column of evaluations on the way, where they were asked for: a mean in the row after which policies played."""
_WHOLE = frozenset({"seed", "update", "steps", "episodes"})


def append(path: pathlib.Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Add rows to the table. Several processes may do so at once: lines are never mixed."""
    if not rows:
        return
    columns = columns_of(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed
        if os.fstat(file.fileno()).st_size == 0:
            writer.writerow(columns)
        writer.writerows([[_text(name, row[name]) for name in columns] for row in rows])
        file.write(text.getvalue())


def _text(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    return str(int(value)) if name in _WHOLE else f"{value:.7g}"


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The columns of the table, NaN where a cell is empty, ordered by seed and update.

    **Raises** `InputError` when it is missing or is not such a table.
    """
    try:
        with path.open(newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        rows = [row for row in rows if len(row) == len(header)]  # a crash may have cut the last one short
        table = np.array([[float(cell) if cell else math.nan for cell in row] for row in rows])
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a table of metrics ({error}). Give a run that has made an update.") from error
    if not rows or "seed" not in header:
        raise InputError(f"{path}: no rows yet. Give a run that has made an update.")
    columns = dict(zip(header, table.T, strict=True))
    order = np.lexsort((columns["update"], columns["seed"]))
    return {name: values[order] for name, values in columns.items()}


def from_rows(rows: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """The columns of rows that were never written, ordered by seed and update."""
    ordered = sorted(rows, key=lambda row: (row["seed"], row["update"]))
    return {name: np.array([row[name] for row in ordered]) for name in columns_of(ordered)} if ordered else {}


def columns_of(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """The names of the columns, those that every algorithm has first."""
    return [*FIRST, *(name for name in rows[0] if name not in FIRST)]


def cut(path: pathlib.Path, updates: Mapping[int, int]) -> float:
    """Forget the rows of updates later than each seed's checkpoint; returns the wall time of the last one kept.

    They will be made again.
    """
    if not path.exists():
        return 0.0
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if not header:
        return 0.0
    seed, update, wall_time = (header.index(name) for name in ("seed", "update", "wall_time"))
    kept = [row for row in rows if len(row) == len(header) and int(row[update]) <= updates.get(int(row[seed]), 0)]
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *kept])
    temporary.replace(path)
    return max((float(row[wall_time]) for row in kept), default=0.0)
