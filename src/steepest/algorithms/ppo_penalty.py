"""PPO with a penalty on the KL (A15)."""

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
class PPOPenalty(ProximalHyperParameters):
    """Proximal policy optimisation with a price on the KL in place of clipping.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11), standardised over the update |
    | objective | importance ratio − λ · KL (S6) |
    | step rule | minibatch ascent with Adam; then λ is doubled or halved to keep the KL near the target |
    | critic | its own network, regression to advantage + value (C3), the same minibatches |

    What differs from the paper: as for PPO. With `adaptive` off, λ stays as it is.

    **Reference** Schulman et al., *Proximal Policy Optimization Algorithms*, 2017, section 4.
    """

    name: ClassVar[str] = "ppo_penalty"
    title: ClassVar[str] = "Proximal policy optimisation, KL penalty (Schulman et al., 2017)"

    kl_price: Number = 1.0
    """λ at first, in units of standardised advantage per nat."""
    adaptive: bool = True
    """Double and halve λ to keep the KL near its target."""
    kl_target: Number = 0.01
    """For the KL of an update, in nats."""
    reverse_kl: bool = False
    """Penalise KL(new ‖ old) in place of KL(old ‖ new)."""

    def __post_init__(self):
        super().__post_init__()
        check_number("kl_price", self.kl_price, at_least=0, remedy="1 is usual.")
        check_number("kl_target", self.kl_target, above=0, remedy="0.01 is usual.")

    def build(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.objectives import Ratio
        from steepest.steps import KLPenalty

        target = self.kl_target if self.adaptive else None
        policy_rule = KLPenalty(self.climbing(spec), self.kl_price, target=target, reverse_kl=self.reverse_kl)
        return self.improving(spec, Ratio(), policy_rule, self.fitting(spec))
