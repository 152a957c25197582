"""Loggers: listeners that pass on the numbers of a run to where people look at them."""

from steepest.runs.loggers.logger import AbstractLogger
from steepest.runs.loggers.named import LOGGERS, again, named
from steepest.runs.loggers.tensorboard import TensorBoard
from steepest.runs.loggers.weights_and_biases import WandB

__all__ = ["LOGGERS", "AbstractLogger", "TensorBoard", "WandB", "again", "named"]
