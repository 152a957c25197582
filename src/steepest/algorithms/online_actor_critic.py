"""Online actor–critic (A5)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.segments import SegmentHyperParameters

if TYPE_CHECKING:
    from jax import Array

    from steepest.algorithms.bodies.actor_critic import ActorCritic
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

    Gradients are not clipped, where other algorithms do so at 0.5. Here a gradient is that of one transition, and the
    few that are long are the ends of episodes. Shortened, they no longer outweigh the many short ones: the mean of the
    steps is not that of the errors, and the critic learns that episodes never end. Then no action is worse than
    another, and the policy drifts to one of them and stays. With a clip at 0.5, on CartPole-v1, 7 of the 10 seeds 100
    to 109 ended below 50 after 500,000 steps.

    **Reference** Sutton and Barto, *Reinforcement Learning*, 2nd edition, 2018, section 13.5.
    """

    name: ClassVar[str] = "online_actor_critic"
    title: ClassVar[str] = "Online actor–critic, a step per transition"

    num_envs: fields.NumEnvs = 1
    discount: fields.Discount = 0.99
    entropy_bonus: fields.EntropyBonus = 0.0
    value_coefficient: fields.ValueCoefficient = 0.5
    learning_rate: fields.LearningRate = 1e-4
    critic_learning_rate: fields.CriticLearningRate = 5e-4
    anneal: fields.Anneal = False
    clip_global_norm: fields.ClipGlobalNorm = math.inf
    policy: fields.Policy = "network"
    shared_network: fields.SharedNetwork = False
    encoder: fields.Encoder = "auto"
    channels: fields.Channels = "auto"
    hidden: fields.Hidden = (64, 64)
    activation: fields.Activation = "tanh"
    gaussian: fields.GaussianKind = "gaussian"
    log_std: fields.LogStd = 0.0
    normalise_observations: fields.NormaliseObservations = False
    scale_rewards: fields.ScaleRewards = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_shared_network()

    def build(self, spec: Spec) -> ActorCritic:
        from steepest.advantages import NStep
        from steepest.core.interfaces import RolloutSpec
        from steepest.objectives import Entropy, Score
        from steepest.steps import Ascent, Optimiser, root_mean_square

        def ascent(rate: float | Array) -> Ascent:
            return Ascent(Optimiser(self.annealed(rate), self.clip_global_norm, root_mean_square))

        return self.actor_critic(
            spec,
            rollout=RolloutSpec(length=1),
            advantage=NStep(self.discount, 1),
            objective=Score() + self.entropy_bonus * Entropy(),
            policy_rule=ascent(self.learning_rate),
            critic_rule=ascent(self.critic_rate),
        )
