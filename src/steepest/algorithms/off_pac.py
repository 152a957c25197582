"""Off-policy policy gradient under a behaviour policy (A9, G13)."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, ClassVar, Literal

from steepest.algorithms.hyper_parameters import Number
from steepest.algorithms.replaying import ReplayingHyperParameters
from steepest.core.errors import InputError
from steepest.core.spaces import Discrete
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.replay_actor_critic import ReplayActorCritic
    from steepest.core.interfaces import AbstractActor
    from steepest.core.spaces import Spec
    from steepest.policies.behaviour import AbstractBehaviour


@dataclasses.dataclass(frozen=True)
class OffPAC(ReplayingHyperParameters):
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

    behaviour: str = "uniform"
    """Who acts: `uniform`; `soft`, the policy itself, where it is uniform a share `uniform_share` of the time; or the
    directory of a run, whose first seed acts."""
    uniform_share: float = 0.0
    """ε of the policy: so often its choice, one of several, is uniform. `soft` asks for it; 0.1 is usual."""
    policy: Literal["network", "linear", "tabular"] = "network"
    """A network; none, so that it is linear in the observation; or a logit for each pair of discrete observation and
    action."""
    fresh_actions: int = 8
    """Actions drawn in each state for V(s), where actions are not one discrete choice."""
    entropy_bonus: Number = 0.0
    """β: the weight of the policy's entropy, in units of return per nat."""
    warm_up_steps: int = 1000

    def __post_init__(self):
        super().__post_init__()
        check_number("uniform_share", self.uniform_share, at_least=0, at_most=1, remedy="0.1 is usual.")
        check_number("fresh_actions", self.fresh_actions, at_least=1, whole=True, remedy="8 is usual.")
        check_number("entropy_bonus", self.entropy_bonus, at_least=0, remedy="0.01 is usual.")
        if self.behaviour == "soft" and not self.uniform_share:
            raise InputError("behaviour is 'soft', but uniform_share is 0; give it a share. 0.1 is usual.")

    @property
    def acting_run(self) -> str | None:
        """The directory of the run that acts, if one does."""
        return None if self.behaviour in ("uniform", "soft") else self.behaviour

    def for_evaluation(self) -> OffPAC:
        return dataclasses.replace(self, behaviour="uniform")

    def with_absolute_paths(self) -> OffPAC:
        if self.acting_run is None:
            return self
        return dataclasses.replace(self, behaviour=os.path.abspath(self.acting_run))

    def build_with_actor(self, spec: Spec, actor: AbstractActor, agent: object) -> ReplayActorCritic:
        from steepest.policies.behaviour import Other

        return self._build(spec, Other(actor, agent))

    def build(self, spec: Spec) -> ReplayActorCritic:
        """Put the parts together for a task."""
        from steepest.policies.behaviour import OwnPolicy, Uniform

        if self.acting_run is not None:
            raise InputError(f"behaviour is '{self.behaviour}', a run; train through steepest.train, which reads it.")
        return self._build(spec, Uniform(spec.action) if self.behaviour == "uniform" else OwnPolicy())

    def _build(self, spec: Spec, behaviour: AbstractBehaviour) -> ReplayActorCritic:
        from steepest.algorithms.improvement import ByRatio

        if self.uniform_share and not isinstance(spec.action, Discrete):
            raise InputError(f"uniform_share is {self.uniform_share}; it is of one discrete choice. Leave it out.")
        improvement = ByRatio(actions=self.fresh_actions, entropy_bonus=self.entropy_bonus)
        return self.replaying(spec, improvement=improvement, behaviour=behaviour)
