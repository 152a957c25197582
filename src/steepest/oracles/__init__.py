"""Problems whose performance, values, gradient and Fisher information are known exactly (G17), in float64."""

from steepest.oracles.precision import double, exact
from steepest.oracles.tabular import TabularMDP

__all__ = ["TabularMDP", "double", "exact"]
