"""The table of what happened: one row for each update and seed."""

import array
import csv
import dataclasses
import io
import itertools
import math
import os
import pathlib
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from steepest.core.errors import InputError
from steepest.core.files import write_all, write_atomically, writing
from steepest.runs.seal import Seal

FIRST = ("seed", "update", "steps", "wall_time", "steps_per_second", "episodes", "return", "length")
"""The columns that every algorithm has; `wall_time` is in seconds since training began."""
EVALUATED = "evaluated_return"
"""The column of evaluations on the way, where they were asked for: a mean in the row after which policies played."""
_WHOLE = frozenset({"seed", "update", "steps", "episodes"})
_COUNTS = ("seed", "update", "steps")
"""The columns without which a row means nothing."""
_LONGEST = 2**16
"""Bytes of a line."""


def append(path: pathlib.Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Add rows to the table, and a column for each name that it does not have yet; no other process may do so.

    **Raises** `StorageFault` where it cannot be written; then the table is as it was. `InputError` when it has no
    header.
    """
    if not rows:
        return
    with writing(path):
        header = _header(path)
    columns = _columns(rows)
    wider = [*header, *(name for name in columns if name not in header)] if header else columns
    if header and wider != header:
        # Of the new columns, earlier rows have empty cells.
        blank = "," * (len(wider) - len(header))
        lines = path.read_text().splitlines()[1:]
        Seal(path).remove()
        write_atomically(path, _lines([wider]) + "".join(f"{line}{blank}\n" for line in lines).encode())
    cells = [[_text(name, row[name]) if name in row else "" for name in wider] for row in rows]
    content = _lines(cells if header else [wider, *cells])
    with writing(path):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            before = os.fstat(opened).st_size
            try:
                write_all(opened, content)
            except OSError:
                os.ftruncate(opened, before)  # half a row is none
                raise
        finally:
            os.close(opened)


def _header(path: pathlib.Path) -> list[str]:
    """The names of the columns of a table; none where there is no table yet."""
    if not path.exists():
        return []
    with path.open(newline="", errors="replace") as file:
        first = file.readline(_LONGEST)
    return _names(path, first) if first else []


def _names(path: pathlib.Path, line: str) -> list[str]:
    """What a header names. **Raises** `InputError` where it lacks what every table has."""
    try:
        header = next(csv.reader([line]), [])
    except csv.Error:
        header = []
    missing = [name for name in FIRST if name not in header]
    if missing or len(set(header)) < len(header):
        what = f"it has no {missing[0]!r}" if missing else "a column is there twice"
        raise InputError(f"{path}: its first line is not the names of columns ({what}). Restore that line.")
    return header


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _text(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    return str(int(value)) if name in _WHOLE else f"{value:.7g}"


@dataclasses.dataclass(frozen=True)
class Table:
    """What is whole of a table of metrics.

    - `header`: the names of its columns.
    - `lines`: the text of each whole row; `values`: its numbers, NaN where a cell is empty.
    - `damaged`: the numbers of the lines that are no rows, from 1. A last line that does not end is not among them: a
      crash may have cut it short.
    """

    header: list[str]
    lines: list[str]
    values: np.ndarray
    damaged: list[int]

    def column(self, name: str) -> np.ndarray:
        """One column."""
        return self.values[:, self.header.index(name)]


def scan(path: pathlib.Path, header: Sequence[str] = ()) -> Table:
    """Read what is whole of a table. **Raises** `InputError` when it cannot be read, or its header is lost.

    **Arguments**

    - `header`: in place of one that is lost: the names of the first columns. Others are left out.
    """
    lines, values, damaged, names = [], array.array("d"), [], list(header)
    try:
        with path.open(newline="", errors="replace") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST), ""), start=1):
                if len(line) == _LONGEST and not line.endswith("\n"):
                    raise InputError(f"{path}: line {number} is longer than a row can be. Restore it from a copy.")
                if not names:
                    names = _names(path, line)
                    continue
                cells = line.rstrip("\r\n").split(",")[: len(names) if header else None]  # no number is quoted
                numbers = _numbers(names, cells)
                if numbers is not None and line.endswith("\n"):
                    lines.append(",".join(cells) + "\n")
                    values.extend(numbers)
                elif line.endswith("\n"):
                    damaged.append(number)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}. Give a run that has made an update.") from error
    return Table(names, lines, np.array(values).reshape(-1, max(len(names), 1)), damaged)


def _numbers(names: Sequence[str], cells: Sequence[str]) -> list[float] | None:
    """The numbers of a row; None where it is none."""
    try:
        found = [float(cell) if cell else math.nan for cell in cells]
    except ValueError:
        return None
    counts = dict(zip(names, found, strict=False))
    whole = len(found) == len(names) and all(
        counts[name].is_integer() and 0 <= counts[name] < 2**53 for name in _COUNTS
    )
    return found if whole else None


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The columns of the table, NaN where a cell is empty, ordered by seed and update.

    Lines that are no rows are left out, and a `RuntimeWarning` names them. Another says it where the table has changed
    since it was written.

    **Raises** `InputError` when it is missing, has no rows, or is not such a table.
    """
    table = scan(path)
    if not table.lines:
        raise InputError(f"{path}: no rows yet. Give a run that has made an update.")
    if table.damaged:
        warnings.warn(f"{path}: {_named(table.damaged)}, and left out.", RuntimeWarning, stacklevel=2)
    elif Seal(path).broken():
        warnings.warn(_changed(path), RuntimeWarning, stacklevel=2)
    order = np.lexsort((table.column("update"), table.column("seed")))
    return {name: values[order] for name, values in zip(table.header, table.values.T, strict=True)}


def _changed(path: pathlib.Path) -> str:
    return f"{path}: it has changed since it was written; its numbers may be others. Restore it from a copy."


def _named(damaged: Sequence[int]) -> str:
    listed = ", ".join(map(str, damaged[:5])) + (f" and {len(damaged) - 5} more" if len(damaged) > 5 else "")
    return f"line{'s' if len(damaged) > 1 else ''} {listed} {'are' if len(damaged) > 1 else 'is'} damaged"


def from_rows(rows: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """The columns of rows that were never written, ordered by seed and update."""
    ordered = sorted(rows, key=lambda row: (row["seed"], row["update"]))
    return {name: np.array([row.get(name, math.nan) for row in ordered]) for name in _columns(ordered)}


def _columns(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """The names of the columns, those that every algorithm has first; none of no rows."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [*FIRST, *(name for name in names if name not in FIRST)] if names else []


def cut(path: pathlib.Path, updates: Mapping[int, int]) -> float:
    """Forget the rows of updates later than each seed's checkpoint: they will be made again.

    Where something is damaged, the table as it was is kept beside the new one, which has what is whole, and a
    `RuntimeWarning` says so. Where the header is lost, these are the columns that every table has.

    **Returns** the wall time of the last row that stays. **Raises** `StorageFault` where it cannot be written.
    """
    if not path.exists() or not path.stat().st_size:
        return 0.0
    try:
        table, lost = scan(path), ""
    except InputError as error:
        table, lost = scan(path, FIRST), str(error)
    if table.damaged and not lost:
        lost = f"{path}: {_named(table.damaged)}."
    if not lost and Seal(path).broken():
        warnings.warn(_changed(path), RuntimeWarning, stacklevel=2)
    if lost:
        asides = (path.with_name(f"{path.stem}.damaged-{number}.csv") for number in itertools.count(1))
        aside = next(each for each in asides if not each.exists())
        with writing(aside):
            path.rename(aside)
        told = (
            f"{lost} It is kept as {aside.name}; {path.name} goes on with the {len(table.lines)} rows that are whole."
        )
        warnings.warn(told, RuntimeWarning, stacklevel=2)
    seeds, counts = (table.column(name).astype(int).tolist() for name in ("seed", "update"))
    kept = [updates.get(seed, 0) >= update for seed, update in zip(seeds, counts, strict=True)]
    lines = [line for line, stays in zip(table.lines, kept, strict=True) if stays]
    Seal(path).remove()
    write_atomically(path, _lines([table.header]) + "".join(lines).encode())
    return float(np.fmax.reduce(table.column("wall_time")[kept], initial=0.0))
