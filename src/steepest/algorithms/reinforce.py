"""REINFORCE (A1)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.episodes import EpisodeHyperParameters, check_weighting, return_score, return_weights

if TYPE_CHECKING:
    from steepest.algorithms.bodies.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class Reinforce(EpisodeHyperParameters):
    """REINFORCE: whole episodes, a return for each action, one gradient step.

    | part | choice |
    |---|---|
    | advantage | reward-to-go (G4) or whole return (G3), either discounting (G5), less an average (G6), standardised |
    | objective | score (G16) |
    | step rule | one ascent step with Adam |
    | critic | none |

    What differs from the paper: Adam in place of plain ascent, and the standardised reward-to-go in place of the
    return less a running baseline. Turn off `normalise_advantages` for the bare estimator.

    **Reference** Williams, *Simple statistical gradient-following algorithms for connectionist reinforcement
    learning*, 1992.
    """

    name: ClassVar[str] = "reinforce"
    title: ClassVar[str] = "REINFORCE (Williams, 1992)"

    num_envs: fields.NumEnvs = 16
    discount: fields.Discount = 0.99
    normalise_advantages: fields.NormaliseAdvantages = True
    returns: fields.Returns = "reward_to_go"
    discount_states: fields.DiscountStates = False
    baseline: fields.Baseline = "none"
    learning_rate: fields.LearningRate = 3e-3
    clip_global_norm: fields.ClipGlobalNorm = math.inf
    policy: fields.Policy = "network"
    encoder: fields.Encoder = "auto"
    channels: fields.Channels = "auto"
    hidden: fields.Hidden = (64, 64)
    activation: fields.Activation = "tanh"
    memory: fields.Memory = "none"
    memory_size: fields.MemorySize = 64
    gaussian: fields.GaussianKind = "gaussian"
    log_std: fields.LogStd = 0.0
    normalise_observations: fields.NormaliseObservations = False
    scale_rewards: fields.ScaleRewards = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_memory()
        check_weighting(self)

    def build(self, spec: Spec) -> ActorCritic:
        from steepest.core.interfaces import RolloutSpec
        from steepest.steps import Ascent, Optimiser

        return self.actor_critic(
            spec,
            rollout=RolloutSpec(length=None, whole_episodes=True),
            advantage=return_weights(self),
            objective=return_score(self, spec.num_envs),
            policy_rule=Ascent(Optimiser(self.learning_rate, self.clip_global_norm)),
        )
