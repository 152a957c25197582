"""Problems whose performance, values, gradient and Fisher information are known exactly (G17), in float64."""

from steepest.oracles.bandit import bandit
from steepest.oracles.garnet import random_mdp
from steepest.oracles.gymnasium_tables import gymnasium_mdp
from steepest.oracles.linear_quadratic import LinearQuadratic
from steepest.oracles.precision import double, exact
from steepest.oracles.tabular import TabularMDP

__all__ = ["LinearQuadratic", "TabularMDP", "bandit", "double", "exact", "gymnasium_mdp", "random_mdp"]
