"""Trust region policy optimisation (A13)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.hyper_parameters import Number
from steepest.algorithms.natural import NaturalHyperParameters
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class TRPO(NaturalHyperParameters):
    """Trust region policy optimisation: the natural step, shortened until the surrogate gains within the KL radius.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11), standardised over the update |
    | objective | importance ratio (S4) |
    | step rule | trust region (S4): natural direction, backtracking on measured gain and measured KL |
    | critic | its own network, regression to advantage + value (C3), several epochs of minibatches |

    A step that fails leaves the policy as it was, bit for bit; the `verdict` in the metrics says why.

    What differs from the paper: advantages come from GAE and a critic, as in the paper on GAE, in place of Monte-Carlo
    estimates of Q; the radius is compared with the measured mean KL without any slack.

    **Reference** Schulman et al., *Trust Region Policy Optimization*, 2015; defaults of radius and iterations from its
    appendix; λ from Schulman et al., *High-Dimensional Continuous Control Using Generalized Advantage Estimation*,
    2016.
    """

    name: ClassVar[str] = "trpo"
    title: ClassVar[str] = "Trust region policy optimisation (Schulman et al., 2015)"

    backtracks: int = 10
    """Shorter steps that are tried after the first."""
    shrink: Number = 0.8
    """Each is so much of the one before."""

    def __post_init__(self):
        super().__post_init__()
        check_number("backtracks", self.backtracks, at_least=0, whole=True, remedy="10 is usual.")
        check_number("shrink", self.shrink, above=0, at_most=0.99, remedy="0.5 to 0.8 are usual.")

    def build(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.objectives import Ratio
        from steepest.steps import TrustRegion

        policy_rule = TrustRegion(self.kl_radius, self.direction(), self.backtracks, self.shrink, self.reverse_kl)
        return self.improving(spec, Ratio(), policy_rule, self.fitting(spec))
