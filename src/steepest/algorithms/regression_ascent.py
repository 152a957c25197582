"""Regression-gradient ascent (A19)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.perturbed_policies import PerturbationHyperParameters

if TYPE_CHECKING:
    from steepest.perturbation import Regression


@dataclasses.dataclass(frozen=True)
class RegressionAscent(PerturbationHyperParameters):
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

    discount: fields.Discount = 1.0
    episodes_per_policy: fields.EpisodesPerPolicy = 1
    learning_rate: fields.LearningRate = 0.1
    restricted_radius: fields.RestrictedRadius = None
    delta: fields.Delta = 0.2
    perturbations: fields.Perturbations = 31
    noisy_actions: fields.NoisyActions = False
    policy: fields.Policy = "network"
    encoder: fields.Encoder = "auto"
    channels: fields.Channels = "auto"
    hidden: fields.Hidden = ()
    activation: fields.Activation = "tanh"
    gaussian: fields.GaussianKind = "gaussian"
    log_std: fields.LogStd = 0.0
    normalise_observations: fields.NormaliseObservations = False

    def perturbation(self) -> Regression:
        """All parameters at once."""
        from steepest.perturbation import Regression

        return Regression(self.perturbations, self.delta)
