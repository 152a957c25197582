"""PPO with a clipped ratio (A16)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.hyper_parameters import HyperParameters, Number, check_minibatch
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class PPO(HyperParameters):
    """Proximal policy optimisation: several epochs on a clipped ratio, and a critic.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11), standardised over the update |
    | objective | clipped ratio (S7) + β · entropy |
    | step rule | minibatch ascent with Adam, several epochs, an optional stop at a KL |
    | critic | its own network, regression to advantage + value (C3), the same minibatches |

    What differs from the paper: actor and critic are separate networks with an optimiser each, so there is no weight
    between their losses; advantages are standardised over the whole update; the gradient's global norm is clipped.

    **Reference** Schulman et al., *Proximal Policy Optimization Algorithms*, 2017; defaults from its table 3 (MuJoCo).
    """

    name: ClassVar[str] = "ppo"
    title: ClassVar[str] = "Proximal policy optimisation, clipped ratio (Schulman et al., 2017)"

    segment_length: int = 256
    """Steps of each environment in an update; num_envs × segment_length rows in all."""
    epochs: int = 10
    """Passes over the rows of an update."""
    minibatch_size: int = 64
    """Rows in one gradient step; must divide num_envs × segment_length."""
    learning_rate: Number = 3e-4
    """Adam's, for the policy."""
    critic_learning_rate: Number | None = None
    """Adam's, for the critic; the policy's when left out."""
    anneal: bool = False
    """Let both learning rates fall linearly to 0 at the end of training."""
    clip_radius: Number = 0.2
    """How far the ratio may leave 1 before it stops paying."""
    trace: Number = 0.95
    """λ of GAE: 0 trusts the critic, 1 the returns."""
    entropy_bonus: Number = 0.0
    """β: the weight of the policy's entropy, in units of standardised advantage per nat."""
    clip_global_norm: Number = 0.5
    """Longer gradients are shortened to this."""
    kl_stop: float = math.inf
    """Make no further epoch once the policy has moved by more than this, in nats."""
    normalise_advantages: bool = True
    """Standardise advantages over the update."""

    def __post_init__(self):
        super().__post_init__()
        check_number("segment_length", self.segment_length, at_least=1, whole=True, remedy="128 to 2048 are usual.")
        check_number("epochs", self.epochs, at_least=1, whole=True, remedy="4 to 10 are usual.")
        check_number("learning_rate", self.learning_rate, above=0, remedy="3e-4 is usual.")
        check_number("critic_learning_rate", self.critic_learning_rate, above=0, remedy="3e-4 is usual.")
        check_number("clip_radius", self.clip_radius, above=0, remedy="0.2 is usual.")
        check_number("trace", self.trace, at_least=0, at_most=1, remedy="0.95 is usual.")
        check_number("entropy_bonus", self.entropy_bonus, at_least=0, remedy="0 to 0.01 are usual.")
        check_number("clip_global_norm", self.clip_global_norm, above=0, remedy="0.5 is usual; inf never clips.")
        check_number("kl_stop", self.kl_stop, above=0, remedy="0.02 is usual; inf never stops.")
        check_minibatch(self.minibatch_size, self.segment_length, self.num_envs)

    @property
    def steps_per_update(self) -> int:
        """One segment of every environment."""
        return self.segment_length * self.num_envs

    def compose(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.advantages import GAE
        from steepest.core.interfaces import Feed
        from steepest.objectives import Clipped, plus_entropy
        from steepest.steps import MinibatchAscent, Optimiser

        def ascent(learning_rate: Number, kl_stop: float) -> MinibatchAscent:
            horizon = float(spec.total_updates) if self.anneal else math.inf
            optimiser = Optimiser(learning_rate, horizon, self.clip_global_norm)
            return MinibatchAscent(optimiser, self.epochs, self.minibatch_size, kl_stop)

        critic_rate = self.learning_rate if self.critic_learning_rate is None else self.critic_learning_rate
        return self.actor_critic(
            spec,
            feed=Feed(self.segment_length),
            advantage=GAE(self.discount, self.trace),
            objective=plus_entropy(Clipped(self.clip_radius), self.entropy_bonus),
            step_rule=ascent(self.learning_rate, self.kl_stop),
            critic_rule=ascent(critic_rate, math.inf),
        )
