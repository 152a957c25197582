"""Advantage actor–critic with synchronous workers (A6)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.hyper_parameters import Number, SegmentHyperParameters
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class A2C(SegmentHyperParameters):
    """Advantage actor–critic: short segments of many environments, one gradient step for each.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11); λ = 1 gives the returns to the end of the segment of the paper (G10) |
    | objective | score (G16) + β · entropy |
    | step rule | one ascent step with RMSProp |
    | critic | its own network, one step of regression to advantage + value (C3) |

    What differs from the paper: workers are synchronous (that is A2C, not A3C); actor and critic are separate networks,
    so there is no weight between their losses; there is no recurrent layer.

    **Reference** Mnih et al., *Asynchronous Methods for Deep Reinforcement Learning*, 2016; defaults from its section 5
    and the supplement.
    """

    name: ClassVar[str] = "a2c"
    title: ClassVar[str] = "Advantage actor–critic, synchronous (Mnih et al., 2016)"

    num_envs: int = 16
    segment_length: int = 5
    """Steps of each environment in an update; num_envs × segment_length rows in all."""
    learning_rate: Number = 7e-4
    """RMSProp's, for the policy."""
    anneal: bool = True
    """Let both learning rates fall linearly to 0 at the end of training."""
    gae_lambda: Number = 1.0
    """λ of GAE: 0 trusts the critic, 1 the returns."""
    entropy_bonus: Number = 0.01
    """β: the weight of the policy's entropy, in units of return per nat."""

    def __post_init__(self):
        super().__post_init__()
        check_number("learning_rate", self.learning_rate, above=0, remedy="7e-4 is usual.")

    def build(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.objectives import Score
        from steepest.steps import Ascent, Optimiser, root_mean_square

        def ascent(rate: Number) -> Ascent:
            return Ascent(Optimiser(rate, self.anneal_over(spec), self.clip_global_norm, root_mean_square))

        critic_rate = self.learning_rate if self.critic_learning_rate is None else self.critic_learning_rate
        return self.improving(spec, Score(), ascent(self.learning_rate), ascent(critic_rate))
