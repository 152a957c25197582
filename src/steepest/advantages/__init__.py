"""Estimators of the advantage, and what they are made of: returns, baselines, importance weights."""

from steepest.advantages.advantage import AbstractAdvantage, Standardised, standardise
from steepest.advantages.baselines import (
    AbstractBaseline,
    AveragePerTimeStep,
    AverageReturn,
    AverageReturnToGo,
    variance_optimal,
)
from steepest.advantages.discounting import elapsed, state_discount
from steepest.advantages.gae import GAE, gae
from steepest.advantages.importance import ImportanceWeighted, effective_sample_size
from steepest.advantages.monte_carlo import MonteCarlo, WholeReturn, reward_to_go
from steepest.advantages.n_step import NStep, n_step_return
from steepest.advantages.unit import Unit
from steepest.advantages.weighted import Weighted

__all__ = [
    "GAE",
    "AbstractAdvantage",
    "AbstractBaseline",
    "AveragePerTimeStep",
    "AverageReturn",
    "AverageReturnToGo",
    "ImportanceWeighted",
    "MonteCarlo",
    "NStep",
    "Standardised",
    "Unit",
    "Weighted",
    "WholeReturn",
    "effective_sample_size",
    "elapsed",
    "gae",
    "n_step_return",
    "reward_to_go",
    "standardise",
    "state_discount",
    "variance_optimal",
]
