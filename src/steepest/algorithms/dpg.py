"""Deterministic policy gradient (A10)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.replay import ReplayHyperParameters, noisy_behaviour

if TYPE_CHECKING:
    from steepest.algorithms.bodies.replay_actor_critic import ReplayActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class DPG(ReplayHyperParameters):
    """Deterministic policy gradient: the policy follows the slope of its critic, from what was just done.

    | part | choice |
    |---|---|
    | who acts | the policy with a little noise, or uniform actions, whatever the policy |
    | critic | a network of (s, a), or the compatible one: (a − μ)ᵀ∇μᵀw + V(s); regression to r + γQ̄(s′, μ̄(s′)) |
    | objective | Q(s, μ(s)) (G15) |
    | step rule | ascent steps with Adam, on minibatches of the newest segments |

    The newest 4,096 transitions are learned from, sixteen segments, unless `capacity` says so; with a large one and a
    segment of one step it is `ddpg`. With the newest segment alone, 256, the critic forgets what it knew of states that
    are not in it: on Pendulum-v1 the seeds 100 to 109 then came to an interquartile mean of -307, the worst to -899,
    and with sixteen segments to -151 and -169.

    Without noise the critic learns nothing of other actions, so on-policy means that the noise is small. With
    `behaviour='uniform'` it is off-policy: no ratio is needed, as the policy has no probabilities.

    What differs from the paper: Adam, minibatches and slow targets in place of one plain step for each transition; and
    V is a network.

    **Reference** Silver et al., *Deterministic Policy Gradient Algorithms*, 2014: COPDAC-Q with the compatible critic.
    """

    name: ClassVar[str] = "dpg"
    title: ClassVar[str] = "Deterministic policy gradient (Silver et al., 2014)"
    stochastic: ClassVar[bool] = False

    num_envs: fields.NumEnvs = 8
    segment_length: fields.SegmentLength = 32
    discount: fields.Discount = 0.99
    learning_rate: fields.LearningRate = 1e-3
    critic_learning_rate: fields.CriticLearningRate = 1e-3
    clip_global_norm: fields.ClipGlobalNorm = math.inf
    replay_ratio: fields.ReplayRatio = 0.25
    capacity: fields.Capacity = 4096
    batch_size: fields.BatchSize = 128
    warm_up_steps: fields.WarmUpSteps = 0
    return_steps: fields.ReturnSteps = 1
    critics: fields.Critics = 1
    target_rate: fields.TargetRate = 0.01
    action_value: fields.ActionValue = "network"
    exploration: fields.Exploration = "gaussian"
    noise_log_std: fields.NoiseLogStd = -2.3
    policy: fields.Policy = "network"
    encoder: fields.Encoder = "auto"
    channels: fields.Channels = "auto"
    hidden: fields.Hidden = (256, 256)
    activation: fields.Activation = "relu"
    normalise_observations: fields.NormaliseObservations = False

    def build(self, spec: Spec) -> ReplayActorCritic:
        """The algorithm for a task. **Raises** `InputError` unless actions are continuous and bounded."""
        from steepest.algorithms.bodies.improvement import ByDeterministicGradient

        return self.replay_actor_critic(
            spec,
            exploration=noisy_behaviour(self.name, spec, self.exploration, self.noise_log_std),
            improvement=ByDeterministicGradient(),
            deterministic=True,
            gaussian="bounded",
            log_std=self.noise_log_std,
        )
