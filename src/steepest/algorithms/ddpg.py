"""DDPG (A11)."""

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
class DDPG(ReplayHyperParameters):
    """Deep deterministic policy gradient: a ring of transitions, slow targets, and noise around one best action.

    | part | choice |
    |---|---|
    | who acts | the policy, with Gaussian noise or noise that drifts; uniform actions at first |
    | critic | one or two networks of (s, a), regression to r + γQ̄(s′, μ̄(s′)) with slow targets (C4, C6) |
    | objective | Q(s, μ(s)) (G15) |
    | step rule | one ascent step with Adam, on a minibatch of the ring, for each transition |

    What differs from the paper: Gaussian noise unless told otherwise; actions enter the critic at its first layer; no
    batch normalisation, but `normalise_observations`, and no weight decay; a warm-up of uniform actions. `critics=2`
    takes the lesser of two, as TD3 does.

    **Reference** Lillicrap et al., *Continuous control with deep reinforcement learning*, 2016.
    """

    name: ClassVar[str] = "ddpg"
    title: ClassVar[str] = "Deep deterministic policy gradient (Lillicrap et al., 2016)"
    stochastic: ClassVar[bool] = False

    num_envs: fields.NumEnvs = 1
    segment_length: fields.SegmentLength = 1
    discount: fields.Discount = 0.99
    learning_rate: fields.LearningRate = 1e-3
    critic_learning_rate: fields.CriticLearningRate = 1e-3
    clip_global_norm: fields.ClipGlobalNorm = math.inf
    replay_ratio: fields.ReplayRatio = 1.0
    capacity: fields.Capacity = 1_000_000
    batch_size: fields.BatchSize = 128
    warm_up_steps: fields.WarmUpSteps = 1000
    return_steps: fields.ReturnSteps = 1
    critics: fields.Critics = 1
    target_rate: fields.TargetRate = 0.005
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
