"""Regression-gradient ascent (A19)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.hyper_parameters import Number
from steepest.algorithms.perturbing import PerturbingHyperParameters
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.perturbation import Regression


@dataclasses.dataclass(frozen=True)
class RegressionAscent(PerturbingHyperParameters):
    """Regression-gradient ascent: move all parameters at random, and regress the return on the moves.

    | part | choice |
    |---|---|
    | gradient | least squares on random perturbations; the shortest solution where they are few (G2) |
    | step rule | one ascent step with Adam (S1), or the restricted gradient (S2) |
    | policy | linear, unless `hidden` says otherwise; it acts without noise |
    | critic | none |

    Perturbations need not be as many as parameters: with fewer, the gradient is what can be known of it within the
    directions that were tried.

    What differs from the paper: Adam in place of plain ascent.

    **Reference** Peters and Schaal, *Policy Gradient Methods for Robotics*, 2006, section II.
    """

    name: ClassVar[str] = "regression_ascent"
    title: ClassVar[str] = "Ascent along a regression gradient (Peters and Schaal, 2006)"

    perturbations: int = 31
    """m: perturbed policies in an update; one more plays at the parameters themselves."""
    deviation: Number = 0.2
    """δ: the standard deviation of a perturbation, in the parameters' own unit."""

    def __post_init__(self):
        super().__post_init__()
        check_number("perturbations", self.perturbations, at_least=1, whole=True, remedy="31 is usual.")
        check_number("deviation", self.deviation, above=0, at_most=1e3, remedy="0.2 is usual.")

    def perturbation(self) -> Regression:
        """All parameters at once."""
        from steepest.perturbation import Regression

        return Regression(self.perturbations, self.deviation)
