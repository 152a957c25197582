"""Restricted-gradient ascent (A20)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.episodic import EpisodicHyperParameters
from steepest.algorithms.hyper_parameters import Number
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class RestrictedGradient(EpisodicHyperParameters):
    """The policy gradient, as far as a radius in parameter space allows.

    | part | choice |
    |---|---|
    | advantage | reward-to-go (G4), less an average (G6), standardised |
    | objective | score (G16) |
    | step rule | restricted gradient (S2): steps of one length, Δ = √(2ε / gᵀg) g |
    | critic | none |

    The constraint of the trust region, with the wrong norm: equal lengths in parameters are not equal changes of the
    policy. With noise alone for a gradient it walks at random just as far, so the radius must be small.

    **Reference** Peters and Schaal, *Reinforcement Learning of Motor Skills with Policy Gradients*, 2008, section 2.
    """

    name: ClassVar[str] = "restricted_gradient"
    title: ClassVar[str] = "Restricted-gradient ascent"

    radius: Number = 1e-2
    """ε: half the squared length of a step in parameter space."""

    def __post_init__(self):
        super().__post_init__()
        check_number("radius", self.radius, above=0, remedy="1e-2 is usual.")

    def build(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.steps import Restricted

        return self.improving(spec, Restricted(self.radius))
