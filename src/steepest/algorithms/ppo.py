"""PPO with a clipped ratio (A16)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.hyper_parameters import Number
from steepest.algorithms.proximal import ProximalHyperParameters
from steepest.core.errors import InputError
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class PPO(ProximalHyperParameters):
    """Proximal policy optimisation: several epochs on a clipped ratio, and a critic.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11), standardised over the update |
    | objective | clipped ratio (S7) + β · entropy |
    | step rule | minibatch ascent with Adam, several epochs, an optional stop at a KL |
    | critic | its own network, regression to advantage + value (C3), the same minibatches |

    What differs from the paper: actor and critic are separate networks with an optimiser each, so there is no weight
    between their losses; advantages are standardised over the whole update; the gradient's global norm is clipped.
    Clipping the values too is an option, off by default: it seldom helps.

    **Reference** Schulman et al., *Proximal Policy Optimization Algorithms*, 2017; defaults from its table 3 (MuJoCo).
    """

    name: ClassVar[str] = "ppo"
    title: ClassVar[str] = "Proximal policy optimisation, clipped ratio (Schulman et al., 2017)"

    clip_radius: Number = 0.2
    """How far the ratio may leave 1 before it stops paying."""
    final_clip_radius: Number | None = None
    """Where that gets to at the end of training, in a straight line; it stays when left out."""
    value_clip_radius: Number | None = None
    """How far an update may take the critic's values, in the unit of (scaled) return; no limit when left out."""

    def __post_init__(self):
        super().__post_init__()
        check_number("clip_radius", self.clip_radius, above=0, remedy="0.2 is usual.")
        check_number("final_clip_radius", self.final_clip_radius, above=0, remedy="0.01 is small.")
        check_number("value_clip_radius", self.value_clip_radius, above=0, remedy="0.2 suits scaled rewards.")
        if self.policy == "shared" and self.value_clip_radius is not None:
            raise InputError(
                "value_clip_radius limits a critic of its own, but policy is 'shared'. Leave one of them out."
            )

    def build(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.objectives import Clipped

        return self.improving(
            spec,
            Clipped(self.clip_radius, self.final_clip_radius),
            self.climbing(spec),
            self.fitting(spec),
            value_clip_radius=self.value_clip_radius,
        )
