"""Batch actor–critic (A4)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.segments import SegmentHyperParameters

if TYPE_CHECKING:
    from steepest.algorithms.bodies.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class BatchActorCritic(SegmentHyperParameters):
    """Batch actor–critic: gather, fit the critic, take one gradient step.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11); λ = 0 bootstraps at once (G8), λ = 1 uses the critic as a baseline only (G9) |
    | objective | score (G16) + β · entropy |
    | step rule | one ascent step with Adam |
    | critic | regression to advantage + value in minibatches: to returns with λ = 1 (C1), to r + γV with λ = 0 (C2) |

    With `return_steps` the advantage is n rewards and then the critic's word (G10), and so is what the critic learns.
    With `policy` "shared" actor and critic are two heads of one network (C5), and take one step together.

    What differs from the lecture form: standardised advantages, and Adam.

    **Reference** Sutton and Barto, *Reinforcement Learning*, 2nd edition, 2018, section 13.5; Konda and Tsitsiklis,
    *Actor-Critic Algorithms*, 2000.
    """

    name: ClassVar[str] = "batch_actor_critic"
    title: ClassVar[str] = "Batch actor–critic (Konda and Tsitsiklis, 2000)"

    num_envs: fields.NumEnvs = 8
    segment_length: fields.SegmentLength = 32
    discount: fields.Discount = 0.99
    gae_lambda: fields.GAELambda = 0.95
    n_step: fields.NStep = None
    normalise_advantages: fields.NormaliseAdvantages = True
    entropy_bonus: fields.EntropyBonus = 0.0
    value_coefficient: fields.ValueCoefficient = 0.5
    learning_rate: fields.LearningRate = 3e-3
    critic_learning_rate: fields.CriticLearningRate = 1e-3
    anneal: fields.Anneal = False
    clip_global_norm: fields.ClipGlobalNorm = 0.5
    critic_epochs: fields.CriticEpochs = 10
    minibatch_size: fields.MinibatchSize = 64
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
        self.check_minibatch(self.minibatch_size)
        self.check_shared_network()

    def build(self, spec: Spec) -> ActorCritic:
        from steepest.advantages import GAE, NStep
        from steepest.core.interfaces import RolloutSpec
        from steepest.objectives import Entropy, Score
        from steepest.steps import Ascent, MinibatchAscent, Optimiser

        gae = GAE(self.discount, self.gae_lambda)
        critic_optimiser = Optimiser(self.annealed(self.critic_rate), self.clip_global_norm)
        return self.actor_critic(
            spec,
            rollout=RolloutSpec(self.segment_length),
            advantage=gae if self.n_step is None else NStep(self.discount, self.n_step),
            objective=Score() + self.entropy_bonus * Entropy(),
            policy_rule=Ascent(Optimiser(self.annealed(self.learning_rate), self.clip_global_norm)),
            critic_rule=MinibatchAscent(critic_optimiser, self.critic_epochs, self.minibatch_size),
        )
