"""`steepest export`: write the policy of a run for programs that have no steepest."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Annotated, Literal

import tyro

from steepest.cli.arguments import parse, print_json, say
from steepest.experiments.configuration import read_configuration
from steepest.runs.directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class Export:
    """Write the policy of a run, with an act.py that acts with it and needs no steepest, and verify that it agrees."""

    run: tyro.conf.Positional[pathlib.Path]
    """A run directory."""
    format: Literal["numpy", "onnx", "stablehlo"] = "numpy"
    """What act.py needs: NumPy alone, onnxruntime, or jax. stablehlo is read for some months only: nothing to keep."""
    out: pathlib.Path | None = None
    """The directory; export/FORMAT-seed-K in the run directory when left out."""
    seed: int | None = None
    """Which of the run's seeds; the first when left out."""
    observations: int = 1000
    """On so many, half of them of episodes that it plays, act.py is compared with the policy of the run."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object."""


def export(words: Sequence[str]) -> int:
    """`steepest export RUN --format numpy|onnx|stablehlo`; its status is 1 where what it wrote does not agree."""
    given = parse(Export, words, program="steepest export")
    read_configuration(RunDirectory.existing(given.run))

    from steepest.exports.exporting import export as export_run

    made = export_run(given.run, format=given.format, out=given.out, seed=given.seed, observations=given.observations)
    found = made.verification
    if given.as_json:
        print_json(dataclasses.asdict(made) | {"directory": str(made.directory)})
    else:
        print(made.directory)
        say(f"seed {made.seed} after {made.steps:,} steps, verified with act.py on {found}")
    if not found.agrees:
        say("steepest: the exported policy does not agree with that of the run. Take another format.")
        return 1
    return 0
