"""REINFORCE (A1)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.episodic import AscendingHyperParameters

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class Reinforce(AscendingHyperParameters):
    """REINFORCE: whole episodes, a return for each action, one gradient step.

    | part | choice |
    |---|---|
    | advantage | reward-to-go (G4) or whole return (G3), either discounting (G5), less an average (G6), standardised |
    | objective | score (G16) |
    | step rule | one ascent step with Adam |
    | critic | none |

    What differs from the paper: Adam in place of plain ascent, and the standardised reward-to-go in place of the
    return less a running baseline. Turn off `normalise_advantages` for the bare estimator.

    **Reference** Williams, *Simple statistical gradient-following algorithms for connectionist reinforcement
    learning*, 1992.
    """

    name: ClassVar[str] = "reinforce"
    title: ClassVar[str] = "REINFORCE (Williams, 1992)"

    def build(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        return self.improving(spec, self.ascent())
