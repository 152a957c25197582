"""Batch actor–critic (A4)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.hyper_parameters import FittingHyperParameters, Number
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class BatchActorCritic(FittingHyperParameters):
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

    segment_length: int = 32
    """Steps of each environment in an update; num_envs × segment_length rows in all."""
    learning_rate: Number = 3e-3
    """Adam's, for the policy."""
    return_steps: int | None = None
    """n: rewards that are added up before the critic is asked, in place of GAE, whose λ is then of no use."""

    def __post_init__(self):
        super().__post_init__()
        check_number("return_steps", self.return_steps, at_least=1, whole=True, remedy="5 is usual.")
        check_number("learning_rate", self.learning_rate, above=0, remedy="3e-3 is usual.")

    def build(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.advantages import NStep
        from steepest.objectives import Score
        from steepest.steps import Ascent, Optimiser

        optimiser = Optimiser(self.learning_rate, self.anneal_over(spec), self.clip_global_norm)
        advantage = None if self.return_steps is None else NStep(self.discount, self.return_steps)
        return self.improving(spec, Score(), Ascent(optimiser), self.fitting(spec), advantage=advantage)
