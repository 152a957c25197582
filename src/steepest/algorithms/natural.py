"""What the algorithms that follow the natural gradient share."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from steepest.algorithms.hyper_parameters import FittingHyperParameters, Number
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.curvature import NaturalDirection


@dataclasses.dataclass(frozen=True)
class NaturalHyperParameters(FittingHyperParameters):
    """Of algorithms that take one natural step an update."""

    kl_radius: Number = 0.01
    """ε: how far the policy may move in an update, in nats."""
    damping: Number = 0.1
    """Added to the diagonal of the Fisher information."""
    solver: Literal["conjugate_gradient", "dense"] = "conjugate_gradient"
    """How the Fisher information is inverted; dense is for policies of some hundred parameters."""
    fisher: Literal["exact", "empirical"] = "exact"
    """In closed form for each state, or from the scores of the actions taken."""
    cg_iterations: int = 10
    """Of conjugate gradients, at most."""
    fisher_rows: int | None = None
    """Make the Fisher information of about so many rows; all when left out."""
    reverse_kl: bool = False
    """Measure KL(new ‖ old) in place of KL(old ‖ new)."""

    def __post_init__(self):
        super().__post_init__()
        check_number("kl_radius", self.kl_radius, above=0, remedy="0.01 is usual.")
        check_number("damping", self.damping, at_least=0, remedy="0.01 to 0.1 are usual.")
        check_number("cg_iterations", self.cg_iterations, at_least=1, whole=True, remedy="10 is usual.")
        check_number("fisher_rows", self.fisher_rows, at_least=1, whole=True, remedy="A quarter of the rows is usual.")

    def direction(self) -> NaturalDirection:
        """How the Fisher information is made and inverted."""
        from steepest.curvature import NaturalDirection

        return NaturalDirection(
            self.damping, self.solver, self.cg_iterations, fisher=self.fisher, rows=self.fisher_rows
        )
