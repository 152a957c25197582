"""Functions `(policy, batch) -> (scalar, info)` that are made larger."""

from steepest.objectives.clipped import Clipped
from steepest.objectives.entropy import Entropy, Sum
from steepest.objectives.score import Score

__all__ = ["Clipped", "Entropy", "Score", "Sum"]
