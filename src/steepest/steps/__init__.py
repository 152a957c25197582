"""What limits the step: rules that move parameters and know nothing of where the problem came from."""

from steepest.steps.ascent import Ascent, MinibatchAscent, Optimiser, RepeatedAscent, adam, root_mean_square
from steepest.steps.greedy import Greedy
from steepest.steps.natural import Natural
from steepest.steps.penalised import KLPenalty, Lagrangian
from steepest.steps.restricted import Restricted
from steepest.steps.shuffle import shuffled_at
from steepest.steps.trust_region import TrustRegion

__all__ = [
    "Ascent",
    "Greedy",
    "KLPenalty",
    "Lagrangian",
    "MinibatchAscent",
    "Natural",
    "Optimiser",
    "RepeatedAscent",
    "Restricted",
    "TrustRegion",
    "adam",
    "root_mean_square",
    "shuffled_at",
]
