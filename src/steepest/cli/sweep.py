"""`steepest sweep`: every algorithm of a study on every environment, with every setting and every seed."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import tyro

from steepest.cli.arguments import parse, print_json, program, say
from steepest.core import interrupts

if TYPE_CHECKING:
    from steepest.studies.sweeping import SweepResult


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Make every run of a study: its algorithms on its environments, with its settings and seeds.

    Called again, it goes on: what is complete is left, what was interrupted goes on from its checkpoints, and what has
    failed is tried again. A run that fails is named, and the others are made.
    """

    study: tyro.conf.Positional[pathlib.Path]
    """A file in TOML, such as examples/study.toml, or the directory of a study that exists."""
    out: pathlib.Path | None = None
    """The directory of the study; studies/ and the name of the file when left out."""
    processes: int | None = None
    """How many processors may be busy at once; all when left out. A run on a compiled environment keeps one busy, one
    on another environment two."""
    ray_address: str | None = None
    """Make the runs on a Ray cluster: auto, HOST:PORT, or local to start one here. The directory must be on a disk that
    all of its machines see."""
    slurm: bool = False
    """Make nothing, and write a script of array jobs for Slurm, sweep.sbatch, into the directory."""
    only: str | None = None
    """Make one run: its name, or its number from 0 on."""
    retry_failed: bool = True
    """Try those again that have failed."""
    dry_run: bool = False
    """Check everything, show the runs, and make none."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object."""
    quiet: bool = False
    """Show nothing but what goes wrong."""


def sweep(words: Sequence[str]) -> int:
    """`steepest sweep STUDY`."""
    given = parse(Sweep, words, program="steepest sweep")

    from steepest.studies.sweeping import sweep as sweep_study

    result = sweep_study(
        given.study,
        out=given.out,
        processes=given.processes,
        ray_address=given.ray_address,
        slurm=given.slurm,
        only=given.only,
        retry_failed=given.retry_failed,
        dry_run=given.dry_run,
        progress=not given.quiet,
    )
    if given.as_json:
        print_json(result.to_json())
    elif given.dry_run:
        _print_runs(result)
    if given.dry_run:
        return 0
    if given.slurm:
        say(f"Submit it:\n  sbatch {result.directory}/sweep.sbatch")
        return 0
    return _report(result, show=not (given.as_json or given.quiet))


def _report(result: SweepResult, *, show: bool) -> int:
    if show:
        _print_groups(result)
    for state in result.failed:
        say(f"failed: {state.name}: {state.message}")
    if result.interrupted and not result.complete:
        say(f"Interrupted; everything is saved. Go on with it:\n  {program()} sweep {result.directory}")
        return interrupts.status()
    if show and result.complete:
        say(f"Next:\n  {program()} compare {result.directory}")
    return 0 if result.complete else 1


def _print_runs(result: SweepResult) -> None:
    width = max(len(run.name) for run in result.runs)
    for index, (run, state) in enumerate(zip(result.runs, result.states, strict=True)):
        print(f"{index:>5}  {run.name:<{width}}  {run.options['total_steps']:>12,} steps  {state.state}")
    say(f"{len(result.runs)} runs, {sum(run.options['total_steps'] for run in result.runs):,} steps")


def _print_groups(result: SweepResult) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column("runs", overflow="fold"), "complete", "interquartile mean", "95% interval")
    for group in result.groups():
        low_high = group["iqm_ci95"]
        table.add_row(
            group["name"],
            f"{group['runs']} of {group['of']}",
            "–" if group["iqm"] is None else f"{group['iqm']:.1f}",
            "–" if low_high is None else f"{low_high[0]:.1f} to {low_high[1]:.1f}",
        )
    Console().print(table)
