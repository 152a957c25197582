"""Advantage actor–critic with synchronous workers (A6)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.hyper_parameters import HyperParameters, Number
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class A2C(HyperParameters):
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
    critic_learning_rate: Number | None = None
    """RMSProp's, for the critic; the policy's when left out."""
    anneal: bool = True
    """Let both learning rates fall linearly to 0 at the end of training."""
    trace: Number = 1.0
    """λ of GAE: 0 trusts the critic, 1 the returns."""
    entropy_bonus: Number = 0.01
    """β: the weight of the policy's entropy, in units of return per nat."""
    clip_global_norm: Number = 0.5
    """Longer gradients are shortened to this."""

    def __post_init__(self):
        super().__post_init__()
        check_number("segment_length", self.segment_length, at_least=1, whole=True, remedy="5 is usual.")
        check_number("learning_rate", self.learning_rate, above=0, remedy="7e-4 is usual.")
        check_number("critic_learning_rate", self.critic_learning_rate, above=0, remedy="7e-4 is usual.")
        check_number("trace", self.trace, at_least=0, at_most=1, remedy="1 is usual.")
        check_number("entropy_bonus", self.entropy_bonus, at_least=0, remedy="0 to 0.01 are usual.")
        check_number("clip_global_norm", self.clip_global_norm, above=0, remedy="0.5 is usual; inf never clips.")

    @property
    def steps_per_update(self) -> int:
        """One segment of every environment."""
        return self.segment_length * self.num_envs

    def compose(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.advantages import GAE
        from steepest.core.interfaces import Feed
        from steepest.objectives import Score, plus_entropy
        from steepest.steps import Ascent, Optimiser, root_mean_square

        def ascent(learning_rate: Number) -> Ascent:
            horizon = float(spec.total_updates) if self.anneal else math.inf
            return Ascent(Optimiser(learning_rate, horizon, self.clip_global_norm, root_mean_square))

        critic_rate = self.learning_rate if self.critic_learning_rate is None else self.critic_learning_rate
        return self.actor_critic(
            spec,
            feed=Feed(self.segment_length),
            advantage=GAE(self.discount, self.trace),
            objective=plus_entropy(Score(), self.entropy_bonus),
            step_rule=ascent(self.learning_rate),
            critic_rule=ascent(critic_rate),
        )
