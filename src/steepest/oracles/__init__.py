"""Exactly solvable problems: performance, values, policy gradient and Fisher information in float64 (G17)."""

from steepest.oracles.bandit import bandit
from steepest.oracles.garnet import random_mdp, random_pomdp
from steepest.oracles.gymnasium_tables import gymnasium_mdp
from steepest.oracles.linear_quadratic import LinearQuadratic
from steepest.oracles.partially_observed import HistoryTable, TabularPOMDP
from steepest.oracles.precision import double, in_float64
from steepest.oracles.tabular import TabularMDP

__all__ = [
    "HistoryTable",
    "LinearQuadratic",
    "TabularMDP",
    "TabularPOMDP",
    "bandit",
    "double",
    "gymnasium_mdp",
    "in_float64",
    "random_mdp",
    "random_pomdp",
]
