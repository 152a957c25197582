"""Functions `(policy, batch) -> (scalar, info)` that are made larger."""

from steepest.objectives.clipped import Clipped
from steepest.objectives.deterministic import Deterministic
from steepest.objectives.entropy import Entropy, plus_entropy
from steepest.objectives.fresh_action import FreshAction, FreshActionForm
from steepest.objectives.objective import AbstractObjective, Sum
from steepest.objectives.ratio import Ratio
from steepest.objectives.score import Score, episode_scores
from steepest.objectives.shared import PlusValue

__all__ = [
    "AbstractObjective",
    "Clipped",
    "Deterministic",
    "Entropy",
    "FreshAction",
    "FreshActionForm",
    "PlusValue",
    "Ratio",
    "Score",
    "Sum",
    "episode_scores",
    "plus_entropy",
]
