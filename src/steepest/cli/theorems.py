"""`steepest theorems`: check what policy gradients rest on, here and now."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Sequence
from typing import Annotated

import tyro

from steepest.cli.arguments import parse, print_json, say
from steepest.core.errors import unknown
from steepest.core.validation import check_number
from steepest.theorems import THEOREMS, Result, theorem


@dataclasses.dataclass(frozen=True)
class Theorems:
    """Check the theorems T1–T12 on random problems whose exact answers are known."""

    seed: int = 0
    """Of the random problems."""
    instances: int | None = None
    """How many random problems for each theorem; as many as each usually takes, when left out."""
    figures: pathlib.Path | None = None
    """Draw the pictures of T6, T7, T8, T10 and T11 into this directory."""
    only: tuple[str, ...] = ()
    """Ids of those to check; all of them when left out."""
    quiet: bool = False
    """Show no progress, and no line after the results."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object."""


def theorems(words: Sequence[str]) -> int:
    """`steepest theorems …`; the exit status is 1 if anything measured lies where it must not."""
    given = parse(Theorems, words, program="steepest theorems")
    check_number("seed", given.seed, at_least=0, at_most=2**31 - 1, whole=True, remedy="0 is the default.")
    check_number(
        "instances",
        given.instances,
        at_least=1,
        at_most=10**6,
        whole=True,
        remedy="Leave it out for as many as are usual.",
    )
    chosen = [name.upper() for name in given.only] or list(THEOREMS)
    for name in chosen:
        if name not in THEOREMS:
            raise unknown("theorem", name, THEOREMS)

    results, seconds = [], []
    for result, taken in _checked(chosen, given):
        results.append(result)
        seconds.append(taken)
    pictures = []
    if given.figures is not None:
        from steepest.theorems.figures import draw

        pictures = draw(chosen, given.figures, given.seed)

    holds = all(result.holds for result in results)
    if given.as_json:
        print_json(_as_json(given.seed, results, seconds, pictures))
    else:
        _print(results)
        if not given.quiet:
            _say_whether_all_hold(results, sum(seconds))
        for path in pictures:
            print(path)
    return 0 if holds else 1


def _checked(chosen: Sequence[str], given: Theorems):
    """Each result and how long it took, with a bar on the standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from steepest.experiments.time_left import Pace, TimeLeft

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    console, pace = Console(stderr=True), Pace()
    show = console.is_terminal and not given.quiet
    with Progress(*columns, console=console, transient=True, disable=not show) as progress:
        bar = progress.add_task("starting", total=len(chosen), pace=pace)
        for number, name in enumerate(chosen):
            pace.report(number)
            progress.update(bar, completed=number, description=f"checking {name}")
            start = time.perf_counter()
            result = theorem(name)(given.seed, given.instances)
            yield result, time.perf_counter() - start


def _as_json(seed: int, results: list[Result], seconds: list[float], pictures: list[pathlib.Path]) -> dict:
    return {
        "seed": seed,
        "holds": all(result.holds for result in results),
        "theorems": [
            {
                "id": result.id,
                "statement": result.statement,
                "instances": result.instances,
                "holds": result.holds,
                "seconds": round(taken, 3),
                "claims": [
                    dataclasses.asdict(claim) | {"slack": claim.slack, "holds": claim.holds} for claim in result.claims
                ],
            }
            for result, taken in zip(results, seconds, strict=True)
        ],
        "figures": [str(path) for path in pictures],
    }


def _print(results: list[Result]) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console()
    numbers = {"worst": 9, "bound": 9, "slack": 8, "verdict": 8}

    def rows(title: str) -> Table:
        table = Table(box=None, pad_edge=False, width=min(console.width, 110), show_header=bool(title))
        table.add_column(title, ratio=1)
        for name, width in numbers.items():
            table.add_column(name, justify="right", width=width, no_wrap=True)
        return table

    console.print(rows("statement, and what was measured of it"))
    for result in results:
        kind = f"{result.instances} instances" if result.instances > 1 else "1 instance"
        console.print(f"\n{result.id}  {result.statement} ({kind})", style="bold", markup=False, highlight=False)
        table = rows("")
        for claim in result.claims:
            verdict = "[green]holds" if claim.holds else "[bold red]VIOLATED"
            bound = f"{claim.relation} {claim.bound:.4g}"
            table.add_row(
                Padding(Text(claim.what), (0, 0, 0, 2)), f"{claim.measured:.3g}", bound, f"{claim.slack:.2g}", verdict
            )
        console.print(table)
    console.print()


def _say_whether_all_hold(results: list[Result], seconds: float) -> None:
    violated = [result.id for result in results if not result.holds]
    if violated:
        say(f"violated: {', '.join(violated)}")
    else:
        say(f"{len(results)} checked in {seconds:.0f} s; all of them hold")
