"""The policy gradient with a learned baseline (A2)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.episodic import AscendingHyperParameters
from steepest.algorithms.hyper_parameters import Number
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class PGBaseline(AscendingHyperParameters):
    """The policy gradient with a learned baseline: the critic was fitted on earlier episodes, never on these.

    | part | choice |
    |---|---|
    | advantage | reward-to-go less the value (G7, G9), standardised |
    | objective | score (G16) |
    | step rule | one ascent step with Adam |
    | critic | its own network, regression to the returns (C1), several steps on all rows |

    The critic learns from the episodes of an update only after the gradient was formed from them. So what it says of
    them is independent of their returns, and leaves the gradient unbiased however badly it fits.

    What differs from the lecture form: the data of the fit are the earlier updates', in place of a fresh half of this
    one's; weights are standardised, which does bias, by a factor; Adam.

    **Reference** Sutton et al., *Policy Gradient Methods for Reinforcement Learning with Function Approximation*, 2000.
    """

    name: ClassVar[str] = "pg_baseline"
    title: ClassVar[str] = "Policy gradient with a learned baseline"

    critic_learning_rate: Number = 3e-3
    """Adam's, for the critic."""
    critic_epochs: int = 20
    """Steps of the critic on all rows of an update."""

    def __post_init__(self):
        super().__post_init__()
        check_number("critic_learning_rate", self.critic_learning_rate, above=0, remedy="3e-3 is usual.")
        check_number("critic_epochs", self.critic_epochs, at_least=1, whole=True, remedy="20 is usual.")

    def build(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.steps import Optimiser, RepeatedAscent

        fitting = RepeatedAscent(Optimiser(self.critic_learning_rate), self.critic_epochs)
        return self.improving(spec, self.ascent(), fitting)
