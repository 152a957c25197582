"""Restricted-gradient ascent (A20)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.episodes import EpisodeHyperParameters, check_weighting, return_score, return_weights

if TYPE_CHECKING:
    from steepest.algorithms.bodies.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class RestrictedGradient(EpisodeHyperParameters):
    """The policy gradient, as far as a radius in parameter space allows.

    | part | choice |
    |---|---|
    | advantage | reward-to-go (G4), less an average (G6), standardised |
    | objective | score (G16) |
    | step rule | restricted gradient (S2): steps of one length, Δ = √(2ε / gᵀg) g |
    | critic | none |

    The constraint of the trust region, with the wrong norm: equal lengths in parameters are not equal changes of the
    policy. With noise alone for a gradient it walks at random just as far, so the radius must be small. The surer the
    policy, the more the same length changes it: with 0.01 on CartPole-v1 the KL of an update grew from 0.01 to 0.17,
    and the worst of the 10 seeds 100 to 109 ended at 291. With 0.003 it ended at 460.

    **Reference** Peters and Schaal, *Reinforcement Learning of Motor Skills with Policy Gradients*, 2008, section 2.
    """

    name: ClassVar[str] = "restricted_gradient"
    title: ClassVar[str] = "Restricted-gradient ascent"

    num_envs: fields.NumEnvs = 16
    discount: fields.Discount = 0.99
    normalise_advantages: fields.NormaliseAdvantages = True
    returns: fields.Returns = "reward_to_go"
    discount_states: fields.DiscountStates = False
    baseline: fields.Baseline = "none"
    radius: fields.Radius = 0.003
    policy: fields.Policy = "network"
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

    def build(self, spec: Spec) -> ActorCritic:
        from steepest.core.interfaces import RolloutSpec
        from steepest.steps import Restricted

        return self.actor_critic(
            spec,
            rollout=RolloutSpec(length=None, whole_episodes=True),
            advantage=return_weights(self),
            objective=return_score(self, spec.num_envs),
            policy_rule=Restricted(self.radius),
        )
