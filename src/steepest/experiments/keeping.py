"""What an experiment writes into its run directory before and after training, and what it finds there."""

import contextlib
import warnings
from collections.abc import Iterator, Mapping

import numpy as np

from steepest.algorithms import HyperParameters
from steepest.core.demonstrations import Demonstrations
from steepest.core.errors import StorageFault
from steepest.core.files import remove_leftovers, write_atomically
from steepest.envs.tasks import Task
from steepest.experiments.building import each_newest_state
from steepest.experiments.configuration import RunConfiguration
from steepest.experiments.results import dump
from steepest.runs import demonstration_files as files
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory
from steepest.runs.plot import plot_curves


@contextlib.contextmanager
def says_how_to_go_on(run: RunDirectory) -> Iterator[None]:
    """Let a `StorageFault` say how to go on with the run, once there is one."""
    try:
        yield
    except StorageFault as error:
        if not run.config.exists():
            raise
        raise StorageFault(f"{error} Then go on with it: steepest resume {run.path}") from error


def write_beginning(run: RunDirectory, config: RunConfiguration, demonstrations: Demonstrations | None) -> None:
    """Write what a new run is and what it learns from. **Raises** `StorageFault`; then neither is there."""
    content = config.dump()
    try:
        if demonstrations is not None:
            files.save(run.demonstrations, demonstrations)
        write_atomically(run.config, content)
    except StorageFault:
        with contextlib.suppress(OSError):
            run.demonstrations.unlink(missing_ok=True)
        raise


def cut_back(run: RunDirectory, config: RunConfiguration, task: Task, parameters: HyperParameters) -> float:
    """Cut the metrics of a run whose directory is held back to its newest whole checkpoints.

    A `RuntimeWarning` names damaged ones, and what is damaged in the metrics.

    **Returns** the seconds of training so far.
    """
    remove_leftovers(run.path)
    updates = {}
    for seed, found in each_newest_state(config, task, run, parameters, config.seeds):
        updates[seed] = found.manifest.update
        for text in found.notices:
            warnings.warn(text, RuntimeWarning, stacklevel=2)
    return metrics.cut(run.metrics, updates)


def write_evaluation(run: RunDirectory, evaluation: dict) -> None:
    """Write the evaluation of a run; where that fails, a `RuntimeWarning` says why."""
    with _not_missed():
        write_atomically(run.evaluation, (dump(evaluation) + "\n").encode())


def draw_curve(run: RunDirectory, config: RunConfiguration, columns: Mapping[str, np.ndarray]) -> None:
    """Draw the learning curve of a run; where that fails, a `RuntimeWarning` says why."""
    with _not_missed():
        plot_curves({config.algorithm: columns}, config.env, run.curve)


@contextlib.contextmanager
def _not_missed() -> Iterator[None]:
    """The result stands, though something that can be made again was not written."""
    try:
        yield
    except StorageFault as error:
        warnings.warn(str(error), RuntimeWarning, stacklevel=4)
