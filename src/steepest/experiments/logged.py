"""What a run that has ended says to loggers."""

import json
import math
import pathlib
from collections.abc import Sequence

import numpy as np

from steepest.core.errors import InputError
from steepest.core.files import read_at_most
from steepest.experiments.configuration import read_configuration
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import RunDescription
from steepest.runs.loggers import AbstractLogger, named

RECORDINGS = (".gif", ".mp4")
_LONGEST = 2**26
"""Bytes of an evaluation: some for each of the seeds."""


def log(
    run: str | pathlib.Path, *, to: Sequence[str] = ("tensorboard",), video: str | pathlib.Path | None = None
) -> None:
    """Write the metrics of a run, its evaluation, its learning curve and recordings of it for people to look at.

    **Arguments**

    - `run`: a run directory that no process trains in.
    - `to`: `tensorboard`, `wandb`, or both: into the directories of these names in the run directory. What was logged
      there before is not logged twice.
    - `video`: a recording, .gif or .mp4; those in the run directory when left out.

    **Raises** `InputError` when it is no run, has no metrics, or a logger is not installed; `StorageFault` where
    something cannot be written or sent.

    **Example**

    >>> import steepest, tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     result = steepest.train("a2c", "CartPole-v1", total_steps=800, evaluation_episodes=0, run_dir=place)
    ...     steepest.log(place, to=["tensorboard"])
    """
    directory = RunDirectory.existing(run)
    config = read_configuration(directory)
    loggers = [each for each in named(to) if isinstance(each, AbstractLogger)]
    if not loggers:
        raise InputError("to names nothing. Give tensorboard or wandb.")
    recordings = _recordings(directory, video)
    columns = metrics.read(directory.metrics)
    evaluated = _evaluation(directory)
    with directory.held():
        for logger in loggers:
            logger.begin(RunDescription(json.loads(config.dump()), directory))
            try:
                for seed, mean in evaluated.items():
                    steps = columns["steps"][columns["seed"] == seed].max(initial=0)
                    logger.evaluation(seed, int(steps), np.array([mean]))
                if directory.curve.exists():
                    logger.picture(directory.curve)
                for each in recordings:
                    logger.recording(each)
            finally:
                logger.close()


def _recordings(run: RunDirectory, given: str | pathlib.Path | None) -> list[pathlib.Path]:
    if given is None:
        return sorted(each for each in run.path.iterdir() if each.suffix in RECORDINGS)
    path = pathlib.Path(given)
    if path.suffix not in RECORDINGS or not path.is_file():
        raise InputError(f"video {path}: it must be a file that ends in {' or '.join(RECORDINGS)}. Give one.")
    return [path]


def _evaluation(run: RunDirectory) -> dict[int, float]:
    """The mean return of each seed's last policy; of none where there was no evaluation."""
    if not run.evaluation.exists():
        return {}
    try:
        found = json.loads(read_at_most(run.evaluation, _LONGEST))["seeds"]
        means = {int(each["seed"]): float(each["mean_return"]) for each in found}
        if not all(map(math.isfinite, means.values())):
            raise ValueError("a mean is not finite")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{run.evaluation}: it is damaged. Make up for it: steepest evaluate {run.path}") from error
    return means
