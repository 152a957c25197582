"""Trust region policy optimisation (A13)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.segments import SegmentHyperParameters

if TYPE_CHECKING:
    from steepest.algorithms.bodies.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class TRPO(SegmentHyperParameters):
    """Trust region policy optimisation: the natural step, shortened until the surrogate gains within the KL radius.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11), standardised over the update |
    | objective | importance ratio (S4) |
    | step rule | trust region (S4): natural direction, backtracking on measured gain and measured KL |
    | critic | its own network, regression to advantage + value (C3), several epochs of minibatches |

    A step that fails leaves the policy as it was, bit for bit; the `verdict` in the metrics says why.

    The radius is used up whatever the advantages say: where nothing is left to learn they are noise, standardised to
    unit size, and the noise of few rows passes the test of the gain. A policy that is good is led away from what it can
    do, most where its data do not see it. Where episodes last, take more rows in an update, and a radius that falls.

    What differs from the paper: advantages come from GAE and a critic, as in the paper on GAE, in place of Monte-Carlo
    estimates of Q; the radius is compared with the measured mean KL without any slack.

    **Reference** Schulman et al., *Trust Region Policy Optimization*, 2015; defaults of radius and iterations from its
    appendix; λ from Schulman et al., *High-Dimensional Continuous Control Using Generalized Advantage Estimation*,
    2016.
    """

    name: ClassVar[str] = "trpo"
    title: ClassVar[str] = "Trust region policy optimisation (Schulman et al., 2015)"

    num_envs: fields.NumEnvs = 8
    segment_length: fields.SegmentLength = 256
    discount: fields.Discount = 0.99
    gae_lambda: fields.GAELambda = 0.95
    normalise_advantages: fields.NormaliseAdvantages = True
    entropy_bonus: fields.EntropyBonus = 0.0
    value_coefficient: fields.ValueCoefficient = 0.5
    critic_learning_rate: fields.CriticLearningRate = 1e-3
    anneal: fields.Anneal = False
    clip_global_norm: fields.ClipGlobalNorm = 0.5
    critic_epochs: fields.CriticEpochs = 10
    minibatch_size: fields.MinibatchSize = 64
    kl_radius: fields.KLRadius = 0.01
    final_kl_radius: fields.FinalKLRadius = None
    reverse_kl: fields.ReverseKL = False
    damping: fields.Damping = 0.1
    solver: fields.Solver = "conjugate_gradient"
    fisher: fields.Fisher = "exact"
    cg_iterations: fields.CGIterations = 10
    fisher_rows: fields.FisherRows = None
    backtracks: fields.Backtracks = 10
    shrink: fields.Shrink = 0.8
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
        self.check_critic_rate()

    def build(self, spec: Spec) -> ActorCritic:
        from steepest.advantages import GAE
        from steepest.core.interfaces import RolloutSpec
        from steepest.core.schedules import Linear
        from steepest.curvature import NaturalDirection
        from steepest.objectives import Entropy, Ratio
        from steepest.steps import Optimiser, TrustRegion

        direction = NaturalDirection(
            self.damping, self.solver, self.cg_iterations, fisher=self.fisher, rows=self.fisher_rows
        )
        critic_optimiser = Optimiser(self.annealed(self.critic_rate), self.clip_global_norm)
        final = self.final_kl_radius
        radius = self.kl_radius if final is None else Linear(self.kl_radius, final)
        return self.actor_critic(
            spec,
            rollout=RolloutSpec(self.segment_length),
            advantage=GAE(self.discount, self.gae_lambda),
            objective=Ratio() + self.entropy_bonus * Entropy(),
            policy_rule=TrustRegion(radius, direction, self.backtracks, self.shrink, self.reverse_kl),
            critic_rule=self.minibatch_ascent(critic_optimiser, self.critic_epochs),
        )
