"""What the Fisher information says of a direction."""

from steepest.curvature.conjugate_gradient import Solution, conjugate_gradient
from steepest.curvature.natural_direction import Direction, NaturalDirection

__all__ = ["Direction", "NaturalDirection", "Solution", "conjugate_gradient"]
