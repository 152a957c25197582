"""`steepest log`: write the numbers of a run that has ended for TensorBoard or Weights & Biases."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Literal

import tyro

from steepest.cli.arguments import parse, say


@dataclasses.dataclass(frozen=True)
class Log:
    """Write the metrics of a run, its evaluation, its learning curve and recordings of it for people to look at."""

    run: tyro.conf.Positional[pathlib.Path]
    """A run directory that no process trains in."""
    to: tuple[Literal["tensorboard", "wandb"], ...] = ("tensorboard",)
    """What for: tensorboard, wandb, or both. What was logged before is not logged twice."""
    video: pathlib.Path | None = None
    """A recording, .gif or .mp4; those in the run directory when left out."""


def log(words: Sequence[str]) -> int:
    """`steepest log RUN --to tensorboard|wandb`."""
    given = parse(Log, words, program="steepest log")

    from steepest.experiments.logged import log as log_run

    log_run(given.run, to=given.to, video=given.video)
    if "tensorboard" in given.to:
        say(f"Next:\n  tensorboard --logdir {given.run}")
    return 0
