"""The policy gradient with a learned baseline (A2)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.episodes import (
    OPTIMAL,
    EpisodeHyperParameters,
    check_weighting,
    return_score,
    return_weights,
)
from steepest.core.errors import InputError

if TYPE_CHECKING:
    from steepest.algorithms.bodies.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class PGBaseline(EpisodeHyperParameters):
    """The policy gradient with a learned baseline: the critic was fitted on earlier episodes, never on these.

    | part | choice |
    |---|---|
    | advantage | reward-to-go less the value (G7, G9), standardised |
    | objective | score (G16) |
    | step rule | one ascent step with Adam |
    | critic | its own network, regression to the returns (C1), several steps on all rows |

    The critic learns from the episodes of an update only after the gradient was formed from them. So what it says of
    them is independent of their returns, and leaves the gradient unbiased however badly it fits.

    What differs from the lecture form: the data of the fit are the earlier updates', in place of a fresh half of this
    one's; weights are standardised, which does bias, by a factor; Adam.

    **Reference** Sutton et al., *Policy Gradient Methods for Reinforcement Learning with Function Approximation*, 2000.
    """

    name: ClassVar[str] = "pg_baseline"
    title: ClassVar[str] = "Policy gradient with a learned baseline"

    num_envs: fields.NumEnvs = 16
    discount: fields.Discount = 0.99
    normalise_advantages: fields.NormaliseAdvantages = True
    returns: fields.Returns = "reward_to_go"
    discount_states: fields.DiscountStates = False
    baseline: fields.Baseline = "none"
    value_coefficient: fields.ValueCoefficient = 0.5
    learning_rate: fields.LearningRate = 3e-3
    critic_learning_rate: fields.CriticLearningRate = 3e-3
    clip_global_norm: fields.ClipGlobalNorm = math.inf
    critic_epochs: fields.CriticEpochs = 20
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
        check_weighting(self)
        self.check_shared_network()
        if self.baseline in OPTIMAL:
            raise InputError(
                f"baseline is {self.baseline!r}, but pg_baseline has a critic in its place. "
                "Use reinforce, or leave it out."
            )

    def build(self, spec: Spec) -> ActorCritic:
        from steepest.core.interfaces import RolloutSpec
        from steepest.steps import Ascent, Optimiser, RepeatedAscent

        return self.actor_critic(
            spec,
            rollout=RolloutSpec(length=None, whole_episodes=True),
            advantage=return_weights(self),
            objective=return_score(self, spec.num_envs),
            policy_rule=Ascent(Optimiser(self.learning_rate, self.clip_global_norm)),
            critic_rule=RepeatedAscent(Optimiser(self.critic_rate), self.critic_epochs),
        )
