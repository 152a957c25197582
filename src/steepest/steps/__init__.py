"""What limits the step: rules that move parameters and know nothing of where the problem came from."""

from steepest.steps.ascent import Ascent, MinibatchAscent
from steepest.steps.optimiser import Optimiser, adam, root_mean_square

__all__ = ["Ascent", "MinibatchAscent", "Optimiser", "adam", "root_mean_square"]
