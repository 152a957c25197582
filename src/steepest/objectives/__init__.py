"""Functions `(policy, batch) -> (scalar, info)` that are made larger."""

from steepest.objectives.clipped import Clipped
from steepest.objectives.deterministic import Deterministic
from steepest.objectives.fresh_action import FreshAction, FreshActionForm
from steepest.objectives.objective import AbstractObjective, Entropy, Scaled, Sum
from steepest.objectives.ratio import Ratio
from steepest.objectives.score import Score, episode_scores
from steepest.objectives.with_value import WithValue

__all__ = [
    "AbstractObjective",
    "Clipped",
    "Deterministic",
    "Entropy",
    "FreshAction",
    "FreshActionForm",
    "Ratio",
    "Scaled",
    "Score",
    "Sum",
    "WithValue",
    "episode_scores",
]
