"""Off-policy actor–critic (A8)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from steepest.algorithms.hyper_parameters import Number
from steepest.algorithms.replaying import ReplayingHyperParameters
from steepest.core.errors import InputError
from steepest.core.spaces import Discrete
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.replay_actor_critic import ReplayActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class OffPolicyActorCritic(ReplayingHyperParameters):
    """Off-policy actor–critic: states from the ring, and what the policy would do there now.

    | part | choice |
    |---|---|
    | who acts | the policy; uniform actions at first |
    | critic | two networks of (s, a), regression to r + γQ̄(s′, a′) with a′ from the policy, not from the ring (C4) |
    | objective | E[Q(s, a)] with new actions from the policy (G14) + β · entropy |
    | step rule | one ascent step with Adam, on a minibatch of the ring, for each transition |

    Two things are easily got wrong, and nothing crashes: fitting V(s) to rewards that another policy earned, and
    taking the score of an action that it chose. `examples/broken_off_policy_actor_critic.py` does both.

    **Reference** Degris, White and Sutton, *Off-Policy Actor-Critic*, 2012, with new actions in place of ratios;
    reparameterised: Heess et al., *Learning Continuous Control Policies by Stochastic Value Gradients*, 2015, SVG(0).
    """

    name: ClassVar[str] = "off_policy_actor_critic"
    title: ClassVar[str] = "Off-policy actor–critic with a ring and new actions"

    policy: Literal["network", "linear", "tabular"] = "network"
    """A network; none, so that it is linear in the observation; or a logit for each pair of discrete observation and
    action."""
    gaussian: Literal["gaussian", "state_dependent", "squashed"] = "squashed"
    form: Literal["auto", "expected", "score", "reparameterised"] = "auto"
    """How the gradient is had: a sum over all actions, scores of actions that are drawn, or through the critic's
    slope. `auto` sums over one discrete choice, and takes scores elsewhere."""
    fresh_actions: int = 8
    """Actions drawn in each state for their scores, the others being the baseline of each; 1 has no baseline."""
    critics: Literal[1, 2] = 2
    entropy_bonus: Number = 0.01
    """β: the weight of the policy's entropy, in units of return per nat."""

    def __post_init__(self):
        super().__post_init__()
        check_number("fresh_actions", self.fresh_actions, at_least=1, whole=True, remedy="8 is usual.")
        check_number("entropy_bonus", self.entropy_bonus, at_least=0, remedy="0.01 is usual.")

    def build(self, spec: Spec) -> ReplayActorCritic:
        """Put the parts together for a task. **Raises** `InputError` where the form does not suit the actions."""
        from steepest.algorithms.improvement import ByFreshActions
        from steepest.policies.behaviour import OwnPolicy

        form = self._form(isinstance(spec.action, Discrete), hasattr(spec.action, "low"))
        count = 1 if form == "reparameterised" else self.fresh_actions
        improvement = ByFreshActions(form=form, actions=count, entropy_bonus=self.entropy_bonus)
        return self.replaying(spec, improvement=improvement, behaviour=OwnPolicy())

    def _form(self, discrete: bool, continuous: bool) -> Literal["expected", "score", "reparameterised"]:
        if self.form == "auto":
            return "expected" if discrete else "score"
        if (self.form == "expected" and not discrete) or (self.form == "reparameterised" and not continuous):
            needs = "one discrete choice" if self.form == "expected" else "continuous actions"
            raise InputError(f"form is '{self.form}'; it needs {needs}. Use 'score', or leave it out.")
        return self.form
