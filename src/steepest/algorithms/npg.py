"""The natural policy gradient (A12)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.natural import NaturalHyperParameters

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class NPG(NaturalHyperParameters):
    """Natural policy gradient: one step along $F^{-1}g$, as long as a KL radius allows to second order.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11), standardised over the update |
    | objective | importance ratio, whose gradient at the old policy is the policy gradient (S4) |
    | step rule | natural gradient (S3): length from the radius, conjugate gradients, damping |
    | critic | its own network, regression to advantage + value (C3), several epochs of minibatches |

    What differs from the paper: the Fisher information is exact for each state, averaged over the states sampled, and
    damped; the length comes from a KL radius in place of a rate by hand; advantages come from GAE.

    **Reference** Kakade, *A Natural Policy Gradient*, 2001; the radius: Peters and Schaal, *Reinforcement Learning of
    Motor Skills with Policy Gradients*, 2008.
    """

    name: ClassVar[str] = "npg"
    title: ClassVar[str] = "Natural policy gradient (Kakade, 2001)"

    def build(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.objectives import Ratio
        from steepest.steps import Natural

        policy_rule = Natural(self.kl_radius, direction=self.direction(), reverse_kl=self.reverse_kl)
        return self.improving(spec, Ratio(), policy_rule, self.fitting(spec))
