"""Natural-gradient directions, and the linear solver behind them."""

from steepest.curvature.conjugate_gradient import Solution, conjugate_gradient
from steepest.curvature.natural_direction import Direction, NaturalDirection

__all__ = ["Direction", "NaturalDirection", "Solution", "conjugate_gradient"]
