"""Writing a report: the page, and beside it tables and pictures."""

from __future__ import annotations

import pathlib

from steepest.core.errors import InputError
from steepest.core.files import write_atomically, writing
from steepest.reports import png, tables
from steepest.reports.charts import pictures
from steepest.reports.numbers import Comparison
from steepest.reports.page import page

PAGE = "index.html"
_OURS = b'name="generator" content="steepest '


def check_place(out: pathlib.Path) -> None:
    """**Raises** `InputError` where a report must not be written: among files that are no report."""
    if out.exists() and not out.is_dir():
        raise InputError(f"out {out}: a file of that name exists. Give a directory.")
    if not out.is_dir() or not any(out.iterdir()):
        return
    try:
        with (out / PAGE).open("rb") as file:
            ours = _OURS in file.read(4096)
    except OSError:
        ours = False
    if not ours:
        raise InputError(f"out {out}: it is not empty, and not an earlier report. Give a new directory.")


def write_report(found: Comparison, out: pathlib.Path) -> pathlib.Path:
    """Write everything into a directory, which is made where it is missing; an earlier report is replaced.

    **Returns** the path of the page, which is written first: by it the directory is known as a report.

    **Raises** `InputError` where something else is there, `StorageFault` where it cannot be written.
    """
    check_place(out)
    drawn = pictures(found)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    for name, content in {
        PAGE: page(found, drawn, out),
        "data.csv": tables.as_csv(found.numbers),
        "table.md": tables.as_markdown(found.numbers),
        "table.tex": tables.as_latex(found.numbers),
    }.items():
        write_atomically(out / name, content.encode())
    for each in drawn:
        png.draw(each, out / f"{each.name}.png")
    return out / PAGE
