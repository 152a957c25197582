"""PPO with a penalty on the KL (A15)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.segments import SegmentHyperParameters

if TYPE_CHECKING:
    from steepest.algorithms.bodies.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class PPOPenalty(SegmentHyperParameters):
    """Proximal policy optimisation with a price on the KL in place of clipping.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11), standardised over the update |
    | objective | importance ratio − λ · KL (S6) |
    | step rule | minibatch ascent with Adam; then λ is doubled or halved to keep the KL near the target |
    | critic | its own network, regression to advantage + value (C3), the same minibatches |

    What differs from the paper: as for PPO. With `adaptive` off, λ stays as it is.

    The price is halved after every short step. Once steps are short for other reasons, a rate that falls or a policy
    that is good already, it falls to nothing, and one update then moves the policy by several nats. A `kl_stop` ends
    such an update after the pass that went too far.

    **Reference** Schulman et al., *Proximal Policy Optimization Algorithms*, 2017, section 4.
    """

    name: ClassVar[str] = "ppo_penalty"
    title: ClassVar[str] = "Proximal policy optimisation, KL penalty (Schulman et al., 2017)"

    num_envs: fields.NumEnvs = 8
    segment_length: fields.SegmentLength = 256
    discount: fields.Discount = 0.99
    gae_lambda: fields.GAELambda = 0.95
    normalise_advantages: fields.NormaliseAdvantages = True
    entropy_bonus: fields.EntropyBonus = 0.0
    value_coefficient: fields.ValueCoefficient = 0.5
    learning_rate: fields.LearningRate = 3e-4
    critic_learning_rate: fields.CriticLearningRate = None
    anneal: fields.Anneal = False
    clip_global_norm: fields.ClipGlobalNorm = 0.5
    epochs: fields.Epochs = 10
    minibatch_size: fields.MinibatchSize = 64
    kl_stop: fields.KLStop = math.inf
    kl_target: fields.KLTarget = 0.01
    kl_price: fields.KLPrice = 1.0
    adaptive: fields.Adaptive = True
    reverse_kl: fields.ReverseKL = False
    policy: fields.Policy = "network"
    shared_network: fields.SharedNetwork = False
    encoder: fields.Encoder = "auto"
    channels: fields.Channels = "auto"
    hidden: fields.Hidden = (64, 64)
    activation: fields.Activation = "tanh"
    memory: fields.Memory = "none"
    memory_size: fields.MemorySize = 64
    sequence_length: fields.SequenceLength = None
    recompute_memory: fields.RecomputeMemory = False
    gaussian: fields.GaussianKind = "gaussian"
    log_std: fields.LogStd = 0.0
    normalise_observations: fields.NormaliseObservations = False
    scale_rewards: fields.ScaleRewards = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_shared_network()
        self.check_memory()
        self.check_minibatch(self.minibatch_size)

    def build(self, spec: Spec) -> ActorCritic:
        from steepest.advantages import GAE
        from steepest.core.interfaces import RolloutSpec
        from steepest.objectives import Entropy, Ratio
        from steepest.steps import KLPenalty, Optimiser

        policy_optimiser = Optimiser(self.annealed(self.learning_rate), self.clip_global_norm)
        critic_optimiser = Optimiser(self.annealed(self.critic_rate), self.clip_global_norm)
        target = self.kl_target if self.adaptive else None
        climb = self.minibatch_ascent(policy_optimiser, self.epochs, self.kl_stop)
        return self.actor_critic(
            spec,
            rollout=RolloutSpec(self.segment_length),
            advantage=GAE(self.discount, self.gae_lambda),
            objective=Ratio() + self.entropy_bonus * Entropy(),
            policy_rule=KLPenalty(climb, initial_price=self.kl_price, target=target, reverse_kl=self.reverse_kl),
            critic_rule=self.minibatch_ascent(critic_optimiser, self.epochs),
        )
