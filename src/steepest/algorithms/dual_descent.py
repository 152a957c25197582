"""A trust region by dual gradient descent (A14)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.hyper_parameters import Number
from steepest.algorithms.proximal import ProximalHyperParameters
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class DualDescent(ProximalHyperParameters):
    """A trust region by its Lagrangian: climb in the parameters, descend in the multiplier.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11), standardised over the update |
    | objective | importance ratio − λ · (KL − ε) (S5) |
    | step rule | minibatch ascent with Adam; then λ ← max(0, λ + α (KL − ε)), carried to the next update |
    | critic | its own network, regression to advantage + value (C3), the same minibatches |

    The method is folklore of trust regions, without a paper of its own; the defaults are those of PPO.

    **Reference** Boyd and Vandenberghe, *Convex Optimization*, 2004, section 5.5; Schulman et al., *Trust Region Policy
    Optimization*, 2015, for the constraint.
    """

    name: ClassVar[str] = "dual_descent"
    title: ClassVar[str] = "Trust region by dual gradient descent"

    kl_radius: Number = 0.01
    """ε: how far the policy may move in an update, in nats."""
    kl_price: Number = 1.0
    """λ at first, in units of standardised advantage per nat."""
    kl_price_rate: Number = 100.0
    """α: how fast λ follows the violation, in units of standardised advantage per nat²."""
    rounds: int = 1
    """Climbs in an update, each with the λ that the last one left; the epochs are made in every round."""
    reverse_kl: bool = False
    """Constrain KL(new ‖ old) in place of KL(old ‖ new)."""

    def __post_init__(self):
        super().__post_init__()
        check_number("kl_radius", self.kl_radius, above=0, remedy="0.01 is usual.")
        check_number("kl_price", self.kl_price, at_least=0, remedy="1 is usual.")
        check_number("kl_price_rate", self.kl_price_rate, above=0, remedy="100 is usual.")
        check_number("rounds", self.rounds, at_least=1, whole=True, remedy="1 is usual.")

    def build(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.objectives import Ratio
        from steepest.steps import Lagrangian

        policy_rule = Lagrangian(
            self.climbing(spec), self.kl_radius, self.kl_price, self.kl_price_rate, self.rounds, self.reverse_kl
        )
        return self.improving(spec, Ratio(), policy_rule, self.fitting(spec))
