"""PPO with a clipped ratio (A16)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.segments import SegmentHyperParameters
from steepest.core.errors import InputError

if TYPE_CHECKING:
    from steepest.algorithms.bodies.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class PPO(SegmentHyperParameters):
    """Proximal policy optimisation: several epochs on a clipped ratio, and a critic.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11), standardised over the update |
    | objective | clipped ratio (S7) + β · entropy |
    | step rule | minibatch ascent with Adam, several epochs, an optional stop at a KL |
    | critic | its own network, regression to advantage + value (C3), the same minibatches |

    What differs from the paper: actor and critic are separate networks with an optimiser each, so there is no weight
    between their losses; advantages are standardised over the whole update; the gradient's global norm is clipped.
    Clipping the values too is an option, off by default: it seldom helps.

    **Reference** Schulman et al., *Proximal Policy Optimization Algorithms*, 2017; defaults from its table 3 (MuJoCo).
    """

    name: ClassVar[str] = "ppo"
    title: ClassVar[str] = "Proximal policy optimisation, clipped ratio (Schulman et al., 2017)"

    num_envs: fields.NumEnvs = 8
    segment_length: fields.SegmentLength = 256
    discount: fields.Discount = 0.99
    gae_lambda: fields.GAELambda = 0.95
    normalise_advantages: fields.NormaliseAdvantages = True
    clip_radius: fields.ClipRadius = 0.2
    final_clip_radius: fields.FinalClipRadius = None
    value_clip_radius: fields.ValueClipRadius = None
    entropy_bonus: fields.EntropyBonus = 0.0
    value_coefficient: fields.ValueCoefficient = 0.5
    learning_rate: fields.LearningRate = 3e-4
    critic_learning_rate: fields.CriticLearningRate = None
    anneal: fields.Anneal = False
    clip_global_norm: fields.ClipGlobalNorm = 0.5
    epochs: fields.Epochs = 10
    minibatch_size: fields.MinibatchSize = 64
    kl_stop: fields.KLStop = math.inf
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
        if self.shared_network and self.value_clip_radius is not None:
            raise InputError(
                "value_clip_radius limits a critic of its own, but shared_network is True. Leave one of them out."
            )

    def build(self, spec: Spec) -> ActorCritic:
        from steepest.advantages import GAE
        from steepest.core.interfaces import RolloutSpec
        from steepest.core.schedules import Linear
        from steepest.critics import ClippedSquaredError
        from steepest.objectives import Clipped, Entropy
        from steepest.steps import Optimiser

        policy_optimiser = Optimiser(self.annealed(self.learning_rate), self.clip_global_norm)
        critic_optimiser = Optimiser(self.annealed(self.critic_rate), self.clip_global_norm)
        final, value_radius = self.final_clip_radius, self.value_clip_radius
        clip_radius = self.clip_radius if final is None else Linear(self.clip_radius, final)
        climb = self.minibatch_ascent(policy_optimiser, self.epochs, self.kl_stop)
        return self.actor_critic(
            spec,
            rollout=RolloutSpec(self.segment_length),
            advantage=GAE(self.discount, self.gae_lambda),
            objective=Clipped(clip_radius) + self.entropy_bonus * Entropy(),
            policy_rule=climb,
            critic_rule=self.minibatch_ascent(critic_optimiser, self.epochs),
            critic_objective=None if value_radius is None else ClippedSquaredError(value_radius),
        )
