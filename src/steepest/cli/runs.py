"""`steepest runs`: the runs in a directory, and how they stand."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
from collections.abc import Iterator, Sequence
from typing import Annotated

import tyro

from steepest.cli.arguments import parse, print_json, say
from steepest.core.errors import InputError
from steepest.core.files import JsonObject
from steepest.experiments.run_state import RunState, failures, find_runs, is_study, latest_return, run_state

_USUAL = (pathlib.Path("runs"), pathlib.Path("studies"))
STYLES = {"finished": "green", "training": "cyan", "interrupted": "yellow", "failed": "bold red", "damaged": "bold red"}
"""How states are shown."""


@dataclasses.dataclass(frozen=True)
class Runs:
    """List the runs in a directory and below it, those of studies too, the newest first."""

    directory: tyro.conf.Positional[pathlib.Path | None] = None
    """Where to look; in runs and studies when left out."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON array, with an object for each run."""


def runs(words: Sequence[str]) -> int:
    """`steepest runs [DIR]`."""
    given = parse(Runs, words, program="steepest runs")
    if given.directory is not None and not given.directory.is_dir():
        raise InputError(f"directory {given.directory}: there is no such directory. Give one that has runs.")
    places = [each for each in _USUAL if each.is_dir()] if given.directory is None else [given.directory]
    states = sorted((run_state(path) for place in places for path in find_runs(place)), key=_newest_first)
    rows = [_row(state) for state in states] + [row for place in places for row in _without_a_directory(place)]
    if given.as_json:
        print_json(rows)
    elif rows:
        _print(rows)
    else:
        say(f"no runs in {' or '.join(map(str, places or _USUAL))}")
    return 0


def _newest_first(state: RunState) -> tuple[float, str]:
    return -state.changed, str(state.path)


def _row(state: RunState) -> JsonObject:
    config, evaluation = state.config, state.evaluation
    result = latest_return(state.run) if evaluation is None else float(evaluation["iqm"])
    return {
        "run": str(state.path),
        "algorithm": None if config is None else config.algorithm,
        "env": None if config is None else config.env,
        "seeds": [] if config is None else list(config.seeds),
        "steps": min(state.steps.values(), default=0),
        "total_steps": None if config is None else config.total_steps,
        "return": result,
        "measured_by": None if result is None else "training" if evaluation is None else "evaluation",
        "state": state.state,
        "why": state.why,
        "changed": datetime.datetime.fromtimestamp(state.changed).astimezone().isoformat(timespec="seconds"),
    }


def _without_a_directory(place: pathlib.Path) -> Iterator[JsonObject]:
    """The runs of studies that failed before they had written anything."""
    for study in sorted({place, *(path.parent for path in place.rglob("study.toml"))}):
        for name, why in failures(study).items() if is_study(study) else ():
            run = study / "runs" / name
            if not (run / "config.json").exists():
                nothing = dict.fromkeys(("algorithm", "env", "total_steps", "return", "measured_by", "changed"))
                yield {"run": str(run), "seeds": [], "steps": 0, "state": "failed", "why": why} | nothing


def _print(rows: Sequence[JsonObject]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:  # a file is as wide as its lines
        console = Console(width=240)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("run", "algorithm", "environment", "seeds", "steps", "return", "state", "changed"):
        right = name in ("seeds", "steps", "return")
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in rows:
        total = row["total_steps"]
        made = (
            "" if total is None else f"{min(row['steps'], total):,}" + (f"/{total:,}" if row["steps"] < total else "")
        )
        value = "" if row["return"] is None else f"{row['return']:.1f}"
        state = Text(row["state"], STYLES[row["state"]])
        when = (row["changed"] or "")[:16].replace("T", " ")
        seeds = str(len(row["seeds"]) or "")
        cells = (row["run"], row["algorithm"] or "", row["env"] or "", seeds, made, value)
        table.add_row(*map(Text, cells), state, when)
    console.print(table)
    for row in rows:
        if row["why"]:
            say(f"{row['run']}: {row['why']}")
