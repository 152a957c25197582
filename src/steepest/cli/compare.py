"""`steepest compare`: one page that compares runs."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import tyro

from steepest.cli.arguments import parse, print_json, say

if TYPE_CHECKING:
    from steepest.reports.tables import Table


@dataclasses.dataclass(frozen=True)
class Compare:
    """Compare runs: learning curves, final returns, aggregates with intervals, and who improves on whom."""

    runs: tyro.conf.Positional[tuple[pathlib.Path, ...]]
    """Run directories, studies, or directories that have some below them."""
    out: pathlib.Path | None = None
    """A directory for the page, its tables and its pictures; report when left out, and with --json none."""
    normalise: pathlib.Path | None = None
    """A TOML file that says for each environment which return is 0 and which is 1: low and high. When left out, several
    environments are normalised between the lowest and the highest of all seeds that are compared."""
    labels: tuple[str, ...] = ()
    """What to call the methods, one for each of the directories; their algorithms when left out."""
    quiet: bool = False
    """Print nothing but the path of the page."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object with all numbers."""


def compare(words: Sequence[str]) -> int:
    """`steepest compare RUN … --out DIRECTORY`."""
    given = parse(Compare, words, program="steepest compare")

    from steepest.reports.numbers import comparison
    from steepest.reports.summary import summary
    from steepest.reports.tables import summary_tables
    from steepest.reports.writing import check_place, write_report

    out = given.out or (None if given.as_json else pathlib.Path("report"))
    if out is not None:
        check_place(out)
    found = comparison(*given.runs, normalise=given.normalise, labels=given.labels)
    page = None if out is None else write_report(found, out)
    if given.as_json:
        print_json(found.numbers)
        return 0
    if not given.quiet:
        for each in summary_tables(found.numbers):
            _print(each)
        for text in found.numbers["notices"]:
            say(f"note: {text}")
        say(summary(found.numbers))
    print(page)
    return 0


def _print(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    console = Console()
    if not console.is_terminal:  # a file is as wide as its lines
        console = Console(width=160)
    drawn = Drawn(title=Text(table.caption), title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, head in enumerate(table.heads):
        drawn.add_column(head, justify="left" if index == 0 else "right")
    for row in table.texts():
        drawn.add_row(*map(Text, row))
    console.print(drawn)
    console.print()
