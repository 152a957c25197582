"""Online actor–critic (A5)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.hyper_parameters import Number, SegmentHyperParameters
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class OnlineActorCritic(SegmentHyperParameters):
    """Online actor–critic: one transition, one step of each, and on.

    | part | choice |
    |---|---|
    | advantage | r + γV(s′) − V(s) (G8) |
    | objective | score (G16) + β · entropy |
    | step rule | one ascent step with RMSProp |
    | critic | its own network, one step of regression to r + γV(s′) (C2) |

    What differs from the books: RMSProp in place of plain ascent. Transitions that follow each other are alike, so
    steps must be small; more environments side by side (`num_envs`) make them less alike, and that is A2C's idea.

    **Reference** Sutton and Barto, *Reinforcement Learning*, 2nd edition, 2018, section 13.5.
    """

    name: ClassVar[str] = "online_actor_critic"
    title: ClassVar[str] = "Online actor–critic, a step per transition"

    num_envs: int = 1
    segment_length: int = 1
    """Steps of each environment in an update: one transition."""
    gae_lambda: Number = 0.0
    """λ of GAE, over a segment of one step: of no consequence."""
    learning_rate: Number = 1e-4
    """RMSProp's, for the policy."""
    critic_learning_rate: Number = 5e-4
    """RMSProp's, for the critic, which must be the faster of the two."""

    def __post_init__(self):
        super().__post_init__()
        check_number("learning_rate", self.learning_rate, above=0, remedy="1e-4 is usual.")

    def build(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.objectives import Score
        from steepest.steps import Ascent, Optimiser, root_mean_square

        def ascent(rate: Number) -> Ascent:
            return Ascent(Optimiser(rate, self.anneal_over(spec), self.clip_global_norm, root_mean_square))

        return self.improving(spec, Score(), ascent(self.learning_rate), ascent(self.critic_learning_rate))
