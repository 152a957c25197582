"""Off-policy policy gradient under a behaviour policy (A9, G13)."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.families.replay import ReplayHyperParameters
from steepest.core.errors import InputError
from steepest.core.spaces import Discrete

if TYPE_CHECKING:
    from steepest.algorithms.bodies.replay_actor_critic import ReplayActorCritic
    from steepest.core.interfaces import AbstractActor
    from steepest.core.spaces import Spec
    from steepest.policies.behaviour import AbstractBehaviour


@dataclasses.dataclass(frozen=True)
class OffPAC(ReplayHyperParameters):
    """Off-PAC: learn from what somebody else does, each action weighted by how much likelier it is to the policy.

    | part | choice |
    |---|---|
    | who acts | β: uniform actions, the policy itself with a share of uniform ones, or the policy of a run |
    | critic | one or two networks of (s, a), regression to r + γQ̄(s′, a′) with a′ from the policy (C4) |
    | objective | ρ (Q(s, a) − V(s)), ρ = π/β from the log-probabilities that were stored (G13), + β · entropy |
    | step rule | one ascent step with Adam, on a minibatch of the ring, for each transition |

    `return` in the metrics is that of whoever acts. What is learnt is evaluated at the end, and with
    `--evaluation-every` on the way.

    States remain those of the behaviour: what the policy would come to see is left out. No action may be impossible to
    the behaviour that the policy could want.

    What differs from the paper: a critic of actions fitted by regression in place of GTD(λ) for states, V from that
    critic, and a ring in place of the newest transition.

    **Reference** Degris, White and Sutton, *Off-Policy Actor-Critic*, 2012.
    """

    name: ClassVar[str] = "off_pac"
    title: ClassVar[str] = "Off-policy policy gradient under a behaviour policy (Degris et al., 2012)"

    num_envs: fields.NumEnvs = 1
    segment_length: fields.SegmentLength = 1
    discount: fields.Discount = 0.99
    entropy_bonus: fields.EntropyBonus = 0.0
    fresh_actions: fields.FreshActions = 8
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
    behaviour: fields.Behaviour = "uniform"
    policy: fields.Policy = "network"
    encoder: fields.Encoder = "auto"
    channels: fields.Channels = "auto"
    hidden: fields.Hidden = (256, 256)
    activation: fields.Activation = "relu"
    gaussian: fields.GaussianKind = "gaussian"
    log_std: fields.LogStd = 0.0
    uniform_share: fields.UniformShare = 0.0
    normalise_observations: fields.NormaliseObservations = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.behaviour == "soft" and not self.uniform_share:
            raise InputError("behaviour is 'soft', but uniform_share is 0; give it a share. 0.1 is usual.")

    @property
    def acting_run(self) -> str | None:
        return None if self.behaviour in ("uniform", "soft") else self.behaviour

    def for_evaluation(self) -> OffPAC:
        return dataclasses.replace(self, behaviour="uniform")

    def with_absolute_paths(self) -> OffPAC:
        if self.acting_run is None:
            return self
        return dataclasses.replace(self, behaviour=os.path.abspath(self.acting_run))

    def build(self, spec: Spec) -> ReplayActorCritic:
        from steepest.policies.behaviour import OwnPolicy, Uniform

        if self.acting_run is not None:
            raise InputError(f"behaviour is '{self.behaviour}', a run; train through steepest.train, which reads it.")
        return self._build(spec, Uniform(spec.action) if self.behaviour == "uniform" else OwnPolicy())

    def build_with_actor(self, spec: Spec, actor: AbstractActor, agent: object) -> ReplayActorCritic:
        from steepest.policies.behaviour import Other

        return self._build(spec, Other(actor, agent))

    def _build(self, spec: Spec, exploration: AbstractBehaviour) -> ReplayActorCritic:
        from steepest.algorithms.bodies.improvement import ByRatio

        if self.uniform_share and not isinstance(spec.action, Discrete):
            raise InputError(f"uniform_share is {self.uniform_share}; it is of one discrete choice. Leave it out.")
        improvement = ByRatio(actions=self.fresh_actions, entropy_bonus=self.entropy_bonus)
        return self.replay_actor_critic(spec, exploration=exploration, improvement=improvement)
