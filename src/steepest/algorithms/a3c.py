"""Advantage actor–critic with asynchronous workers (A7)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.segments import SegmentHyperParameters

if TYPE_CHECKING:
    from jax import Array

    from steepest.algorithms.bodies.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class A3C(SegmentHyperParameters):
    """Asynchronous advantage actor–critic: workers push the gradients of short segments to shared parameters.

    A worker copies the parameters, samples a segment of its own environments, and sends the gradients. The parameters
    take one step with each gradient as it arrives, and the worker copies them again. Meanwhile the gradients of others
    have moved them: `staleness` in the metrics counts how many have.

    The parts are those of A2C. So the two differ in who samples, and in the parameters that a gradient belongs to; in
    `steepest.training.compiled.train`, which knows no workers, there is no difference.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11); λ = 1 gives the returns to the end of the segment of the paper (G10) |
    | objective | score (G16) + β · entropy |
    | step rule | one ascent step with RMSProp, whose statistics are shared too |
    | critic | its own network, one step of regression to advantage + value (C3) |

    What differs from the paper: a worker is a process, an actor of Ray, and plays several environments, where the paper
    has a thread with one; so gradients are fewer and less noisy. Parameters are read and written as a whole, where the
    paper takes no lock. Actor and critic are separate networks, so there is no weight between their losses; the
    recurrent layer of the paper is an option, `memory`.

    `kl` is that of the policy of the worker's last copy to that of this one: how far all of them have moved it
    meanwhile. Workers compute on processors; only the step itself is made on an accelerator, where there is one.

    With more than one worker, gradients arrive in an order that cannot be repeated. So the same seed does not give the
    same run, and a resumed run goes on from parameters and optimiser, with new episodes.

    **Reference** Mnih et al., *Asynchronous Methods for Deep Reinforcement Learning*, 2016; defaults from its section 5
    and the supplement.
    """

    name: ClassVar[str] = "a3c"
    title: ClassVar[str] = "Advantage actor–critic, asynchronous (Mnih et al., 2016)"
    asynchronous: ClassVar[bool] = True

    num_envs: fields.NumEnvs = 8
    segment_length: fields.SegmentLength = 5
    discount: fields.Discount = 0.99
    gae_lambda: fields.GAELambda = 1.0
    normalise_advantages: fields.NormaliseAdvantages = False
    entropy_bonus: fields.EntropyBonus = 0.01
    value_coefficient: fields.ValueCoefficient = 0.5
    learning_rate: fields.LearningRate = 7e-4
    critic_learning_rate: fields.CriticLearningRate = None
    anneal: fields.Anneal = True
    clip_global_norm: fields.ClipGlobalNorm = 0.5
    workers: fields.Workers = 4
    ray_address: fields.RayAddress = None
    policy: fields.Policy = "network"
    shared_network: fields.SharedNetwork = False
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
        self.check_shared_network()
        self.check_memory()

    def build(self, spec: Spec) -> ActorCritic:
        from steepest.advantages import GAE
        from steepest.core.interfaces import RolloutSpec
        from steepest.objectives import Entropy, Score
        from steepest.steps import Ascent, Optimiser, root_mean_square

        def ascent(rate: float | Array) -> Ascent:
            return Ascent(Optimiser(self.annealed(rate), self.clip_global_norm, root_mean_square))

        return self.actor_critic(
            spec,
            rollout=RolloutSpec(self.segment_length),
            advantage=GAE(self.discount, self.gae_lambda),
            objective=Score() + self.entropy_bonus * Entropy(),
            policy_rule=ascent(self.learning_rate),
            critic_rule=ascent(self.critic_rate),
        )
