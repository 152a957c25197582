"""What a trajectory says about how good its actions were."""

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
from steepest.advantages.normalise import normalise
from steepest.advantages.unit import Unit
from steepest.advantages.weighted import Weighted

__all__ = [
    "GAE",
    "AbstractBaseline",
    "AveragePerTimeStep",
    "AverageReturn",
    "AverageReturnToGo",
    "ImportanceWeighted",
    "MonteCarlo",
    "NStep",
    "Unit",
    "Weighted",
    "WholeReturn",
    "effective_sample_size",
    "elapsed",
    "gae",
    "n_step_return",
    "normalise",
    "reward_to_go",
    "state_discount",
    "variance_optimal",
]
