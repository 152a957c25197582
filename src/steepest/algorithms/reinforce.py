"""REINFORCE (A1)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.hyper_parameters import HyperParameters, Number
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class Reinforce(HyperParameters):
    """REINFORCE: whole episodes, the reward that followed each action, one gradient step.

    | part | choice |
    |---|---|
    | advantage | Monte-Carlo reward-to-go (G4), standardised over the update: less its mean, so a constant baseline |
    | objective | score (G16) |
    | step rule | one ascent step with Adam |
    | critic | none |

    What differs from the paper: Adam in place of plain ascent, and the standardised reward-to-go in place of the
    return less a running baseline. Turn off `normalise_advantages` for the bare estimator.

    **Reference** Williams, *Simple statistical gradient-following algorithms for connectionist reinforcement
    learning*, 1992.
    """

    name: ClassVar[str] = "reinforce"
    title: ClassVar[str] = "REINFORCE, reward-to-go (Williams, 1992)"

    num_envs: int = 16
    learning_rate: Number = 3e-3
    """Adam's."""
    clip_global_norm: Number = float("inf")
    """Longer gradients are shortened to this; infinite never clips."""
    normalise_advantages: bool = True
    """Standardise the returns over the update."""

    def __post_init__(self):
        super().__post_init__()
        check_number("learning_rate", self.learning_rate, above=0, remedy="3e-3 is usual.")
        check_number("clip_global_norm", self.clip_global_norm, above=0, remedy="inf never clips.")

    @property
    def steps_per_update(self) -> None:
        """One whole episode of every environment."""
        return

    def compose(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.advantages import MonteCarlo
        from steepest.core.interfaces import Feed
        from steepest.objectives import Score
        from steepest.steps import Ascent, Optimiser

        return self.actor_critic(
            spec,
            feed=Feed(length=None, whole_episodes=True),
            advantage=MonteCarlo(self.discount),
            objective=Score(),
            step_rule=Ascent(Optimiser(self.learning_rate, clip_global_norm=self.clip_global_norm)),
            critic_rule=None,
        )
