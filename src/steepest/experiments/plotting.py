"""The learning curves of runs in one picture: what `steepest.plot` and the command of that name both call."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from steepest.core.errors import InputError
from steepest.experiments.configuration import read_configuration
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory
from steepest.runs.plot import plot_curves


def plot(
    runs: str | pathlib.Path | Sequence[str | pathlib.Path], *, out: str | pathlib.Path | None = None
) -> pathlib.Path:
    """Draw the learning curves of one or more runs into one picture: the interquartile mean over seeds of each.

    **Arguments**

    - `runs`: a run directory, or several.
    - `out`: the picture: .png, .pdf or .svg; `curve.png` in the first run when left out.

    **Returns** where it is.

    **Raises** `InputError` when one is no run or has made no update, when they were made on several environments, or
    for a format that is unknown; `StorageFault` where the picture cannot be written.

    **Example**

    >>> import steepest, tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     _ = steepest.train("a2c", "CartPole-v1", total_steps=800, evaluation_episodes=0, run_dir=place)
    ...     plot(place, out=f"{place}/mine.png").name
    'mine.png'
    """
    paths = [pathlib.Path(each) for each in ([runs] if isinstance(runs, str | pathlib.Path) else runs)]
    if not paths:
        raise InputError("no run directory given. Give one or more.")
    curves, environments = {}, set()
    for path in paths:
        config = read_configuration(RunDirectory.existing(path))
        label = config.algorithm if len(paths) == 1 else f"{config.algorithm}, {path.name}"
        if label in curves:
            label = f"{config.algorithm}, {path}"
        curves[label] = metrics.read(RunDirectory(path).metrics)
        environments.add(config.env)
    if len(environments) > 1:
        raise InputError(f"runs on {' and '.join(sorted(environments))} have no axis in common. Plot them apart.")
    picture = RunDirectory(paths[0]).curve if out is None else pathlib.Path(out)
    plot_curves(curves, environments.pop(), picture)
    return picture
