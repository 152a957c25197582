"""Finite-difference ascent (A18)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.perturbed_policies import PerturbationHyperParameters

if TYPE_CHECKING:
    from steepest.perturbation import FiniteDifference


@dataclasses.dataclass(frozen=True)
class FiniteDifferenceAscent(PerturbationHyperParameters):
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

    discount: fields.Discount = 1.0
    episodes_per_policy: fields.EpisodesPerPolicy = 1
    learning_rate: fields.LearningRate = 0.1
    restricted_radius: fields.RestrictedRadius = None
    delta: fields.Delta = 0.2
    central: fields.Central = True
    noisy_actions: fields.NoisyActions = False
    policy: fields.Policy = "network"
    encoder: fields.Encoder = "auto"
    channels: fields.Channels = "auto"
    hidden: fields.Hidden = ()
    activation: fields.Activation = "tanh"
    gaussian: fields.GaussianKind = "gaussian"
    log_std: fields.LogStd = 0.0
    normalise_observations: fields.NormaliseObservations = False

    def perturbation(self) -> FiniteDifference:
        """One parameter at a time."""
        from steepest.perturbation import FiniteDifference

        return FiniteDifference(self.delta, self.central)
