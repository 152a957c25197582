"""Finite-difference ascent (A18)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.hyper_parameters import Number
from steepest.algorithms.perturbing import PerturbingHyperParameters
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.perturbation import FiniteDifference


@dataclasses.dataclass(frozen=True)
class FiniteDifferenceAscent(PerturbingHyperParameters):
    """Finite-difference ascent: move one parameter at a time, and see what the return does.

    | part | choice |
    |---|---|
    | gradient | finite differences of the return, central or forward (G1) |
    | step rule | one ascent step with Adam (S1), or the restricted gradient (S2) |
    | policy | linear, unless `hidden` says otherwise; it acts without noise |
    | critic | none |

    It asks nothing of the policy but that it acts: no probabilities, no derivatives. An update plays two episodes for
    every parameter, so it is for policies of few.

    What differs from the books: Adam in place of a falling sequence of steps, and a δ that does not fall either.

    **Reference** Kiefer and Wolfowitz, *Stochastic Estimation of the Maximum of a Regression Function*, 1952; for
    policies: Peters and Schaal, *Policy Gradient Methods for Robotics*, 2006, section II.
    """

    name: ClassVar[str] = "finite_difference_ascent"
    title: ClassVar[str] = "Finite-difference ascent (Kiefer and Wolfowitz, 1952)"

    step: Number = 0.2
    """δ: how far a parameter is moved, in its own unit."""
    central: bool = True
    """Move it both ways; otherwise forwards only, which takes half the episodes and errs more."""

    def __post_init__(self):
        super().__post_init__()
        check_number("step", self.step, above=0, at_most=1e3, remedy="0.2 is usual.")

    def perturbation(self) -> FiniteDifference:
        """One parameter at a time."""
        from steepest.perturbation import FiniteDifference

        return FiniteDifference(self.step, self.central)
