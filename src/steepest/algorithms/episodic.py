"""What the algorithms that learn from whole episodes share."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from steepest.algorithms.hyper_parameters import Number, OnPolicyHyperParameters
from steepest.core.errors import InputError
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.advantages import AbstractBaseline, Weighted
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.interfaces import AbstractStepRule
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class EpisodicHyperParameters(OnPolicyHyperParameters):
    """Of algorithms that play one whole episode of every environment, and then take one step."""

    num_envs: int = 16
    weight: Literal["reward_to_go", "whole_return"] = "reward_to_go"
    """What an action's score is weighted with: the reward that followed it (G4), or all of the episode's (G3)."""
    discount_states: bool = False
    """Put in the factor γ^t, which makes it the gradient of J (option 2 of G5); most leave it out (option 1)."""
    baseline: Literal["none", "average_return", "average_to_go", "per_time_step", "optimal", "optimal_scalar"] = "none"
    """Subtract an average over the other episodes (G6): of returns, of all rewards-to-go, or of those at its time; or
    the one of least variance for the whole return, for each parameter or for all."""
    normalise_advantages: bool = True
    """Standardise the weights over the update; that subtracts their mean too."""

    def __post_init__(self):
        super().__post_init__()
        if self.weight == "whole_return" and self.discount_states:
            raise InputError(
                "discount_states is True; the whole return is discounted from the start of the episode as it is. "
                "Leave it out, or take weight 'reward_to_go'."
            )
        if self._optimal and self.weight != "whole_return":
            raise InputError(
                f"baseline is {self.baseline!r}, which is of the whole return, but weight is {self.weight!r}. Take "
                "weight 'whole_return', or the baseline 'per_time_step'."
            )

    @property
    def steps_per_update(self) -> None:
        """One whole episode of every environment."""
        return

    def weighting(self) -> Weighted:
        """How rows are weighted."""
        from steepest.advantages import MonteCarlo, Weighted, WholeReturn

        whole = self.weight == "whole_return"
        advantage = WholeReturn(self.discount) if whole else MonteCarlo(self.discount)
        return Weighted(advantage, self.discount, self._baseline(), self.discount_states or whole)

    def improving(
        self, spec: Spec, policy_rule: AbstractStepRule, critic_rule: AbstractStepRule | None = None
    ) -> ActorCritic:
        """The shared body on whole episodes with the score: what is left to say is the rules."""
        from steepest.algorithms.optimal_baseline import ByEpisode
        from steepest.core.interfaces import RolloutSpec
        from steepest.objectives import Score

        if self._optimal and critic_rule is not None:
            raise InputError(
                f"baseline is {self.baseline!r}, but {self.name} has a critic in its place. Use reinforce, or leave "
                "it out."
            )
        options = {"pose": ByEpisode(spec.num_envs, self.baseline == "optimal")} if self._optimal else {}

        return self.actor_critic(
            spec,
            rollout=RolloutSpec(length=None, whole_episodes=True),
            advantage=self.weighting(),
            objective=Score(),
            policy_rule=policy_rule,
            critic_rule=critic_rule,
            **options,
        )

    @property
    def _optimal(self) -> bool:
        return self.baseline in ("optimal", "optimal_scalar")

    def _baseline(self) -> AbstractBaseline | None:
        from steepest.advantages import AveragePerTimeStep, AverageReturn, AverageReturnToGo

        kinds = {
            "average_return": AverageReturn,
            "average_to_go": AverageReturnToGo,
            "per_time_step": AveragePerTimeStep,
        }
        return kinds[self.baseline]() if self.baseline in kinds else None


@dataclasses.dataclass(frozen=True)
class AscendingHyperParameters(EpisodicHyperParameters):
    """Of those among them whose step is one of gradient ascent, with Adam."""

    learning_rate: Number = 3e-3
    """Adam's, for the policy."""
    clip_global_norm: Number = float("inf")
    """Longer gradients are shortened to this; infinite never clips."""

    def __post_init__(self):
        super().__post_init__()
        check_number("learning_rate", self.learning_rate, above=0, remedy="3e-3 is usual.")
        check_number("clip_global_norm", self.clip_global_norm, above=0, infinite=True, remedy="inf never clips.")

    def ascent(self) -> AbstractStepRule:
        """One step on everything."""
        from steepest.steps import Ascent, Optimiser

        return Ascent(Optimiser(self.learning_rate, clip_global_norm=self.clip_global_norm))
