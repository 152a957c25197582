"""Loggers by name, and those that a run had before."""

import warnings
from collections.abc import Sequence

from steepest.core.errors import InputError, unknown
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import AbstractListener
from steepest.runs.loggers.logger import AbstractLogger
from steepest.runs.loggers.tensorboard import TensorBoard
from steepest.runs.loggers.weights_and_biases import WandB

LOGGERS: dict[str, type[AbstractLogger]] = {"tensorboard": TensorBoard, "wandb": WandB}
"""What `log` may name."""


def named(names: object, listeners: Sequence[AbstractListener] = ()) -> list[AbstractListener]:
    """The listeners, and a logger for each of the names whose class is not among them.

    **Raises** `InputError` for a name that there is not, or one that is not installed.

    >>> named(["tensorbord"])
    Traceback (most recent call last):
    steepest.core.errors.InputError: unknown logger 'tensorbord'; did you mean 'tensorboard'? Known: tensorboard, wandb.
    """
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InputError(f"log is {names!r}; it must be names in a list. ['tensorboard'], say.")
    found = list(listeners)
    for name in names:
        if name not in LOGGERS:
            raise unknown("logger", str(name), LOGGERS)
        if not any(isinstance(each, LOGGERS[name]) for each in found):
            found.append(LOGGERS[name]())
    return found


def again(run: RunDirectory, listeners: Sequence[AbstractListener] = ()) -> list[AbstractListener]:
    """The listeners, and the loggers that a run had before; where one is not installed, a `RuntimeWarning` says so."""
    found = list(listeners)
    for name, place in (("tensorboard", run.tensorboard), ("wandb", run.wandb)):
        if place.is_dir():
            try:
                found = named([name], found)
            except InputError as error:
                warnings.warn(f"{run.path} goes on without its log: {error}", RuntimeWarning, stacklevel=3)
    return found
