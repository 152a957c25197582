"""Fitted policy iteration (A17)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.proximal import ProximalHyperParameters
from steepest.core.errors import InputError
from steepest.core.spaces import Discrete
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class FittedPolicyIteration(ProximalHyperParameters):
    """Fitted policy iteration: evaluate, then act greedily, however far that is from what was evaluated.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11), standardised over the update |
    | objective | importance ratio: linear in π′, so its maximum is a greedy policy |
    | step rule | greedy improvement (S8): minibatch ascent; no limit on the KL but `kl_stop`, if given |
    | critic | its own network, regression to advantage + value (C3), the same minibatches |

    This is what the trust region repairs. The advantages were measured where the old policy goes; the new one leaves
    that place at once, and returns may collapse from one update to the next (T8). The policy stays soft, with a share
    `uniform_share` of uniform choices, since a greedy one would never see what it does not choose.

    What differs from the books: the greedy policy is fitted to the advantages seen, as a classifier is, in place of
    fitting the advantages and taking their argmax in each state.

    **Reference** Lazaric, Ghavamzadeh and Munos, *Analysis of a Classification-based Policy Iteration Algorithm*, 2010;
    what goes wrong: Kakade and Langford, *Approximately Optimal Approximate Reinforcement Learning*, 2002.
    """

    name: ClassVar[str] = "fitted_policy_iteration"
    title: ClassVar[str] = "Fitted policy iteration, greedy (Lazaric et al., 2010)"

    uniform_share: float = 0.1
    """ε: so often the policy chooses uniformly. That is part of π, and the surrogate knows of it."""

    def __post_init__(self):
        super().__post_init__()
        check_number("uniform_share", self.uniform_share, above=0, at_most=0.9, remedy="0.1 is usual.")

    def build(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task. **Raises** `InputError` unless actions are one discrete choice."""
        from steepest.objectives import Ratio
        from steepest.steps import Greedy

        if not isinstance(spec.action, Discrete):
            raise InputError(
                f"fitted_policy_iteration chooses one of some actions, but the action space is "
                f"{type(spec.action).__name__}. Use trpo or ppo there."
            )
        return self.improving(spec, Ratio(), Greedy(self.climbing(spec)), self.fitting(spec))
