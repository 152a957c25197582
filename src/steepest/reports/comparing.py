"""`steepest.compare`: the numbers, and the page if one is wanted."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from steepest.core.files import JsonObject
from steepest.reports.numbers import comparison


def compare(
    *runs: str | pathlib.Path,
    out: str | pathlib.Path | None = None,
    normalise: str | pathlib.Path | None = None,
    labels: Sequence[str] = (),
) -> JsonObject:
    """Compare runs: final returns over seeds, aggregates over tasks with intervals, and who improves on whom.

    Runs of the same algorithm with the same hyper-parameters, steps, evaluation and library are one method, and their
    seeds are pooled. Runs that have not finished are told of, and are not.

    **Arguments**

    - `runs`: run directories, studies, or directories that have some below them.
    - `out`: a directory for the page, `index.html`, which needs no network, and beside it `data.csv`, `table.md`,
      `table.tex` and the pictures; nothing is written when left out.
    - `normalise`: a TOML file that says for each environment which return becomes 0 and which 1, as `low` and `high`.
      When left out, returns of several environments are normalised between the lowest and the highest of all seeds that
      are compared.
    - `labels`: what to call the methods, one for each of `runs`.

    **Returns** what `steepest compare --json` prints.

    **Raises** `InputError` where there is nothing to compare, or `out` is a directory with something else in it.
    """
    found = comparison(*runs, normalise=normalise, labels=labels)
    if out is not None:
        from steepest.reports.writing import write_report

        write_report(found, pathlib.Path(out))
    return found.numbers
