"""The off-policy policy gradient with importance weights (A9)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from steepest.algorithms.hyper_parameters import Number, PlayingHyperParameters
from steepest.core.errors import InputError
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.episode_memory import EpisodeMemory
    from steepest.core.spaces import Space, Spec


@dataclasses.dataclass(frozen=True)
class ImportanceSampledPG(PlayingHyperParameters):
    """The policy gradient that uses episodes more than once: those of older policies speak for the new one by weights.

    | part | choice |
    |---|---|
    | advantage | reward-to-go, importance-weighted in one of three ways (G12), less a weighted average, scaled |
    | objective | score (G16) |
    | step rule | several ascent steps with Adam; the weights follow the policy at each |
    | critic | none |

    The weight of the whole episode and the causal one are unbiased, but a product of many ratios soon says nothing:
    look at `effective_sample_size` in the metrics. The first-order weight takes the one ratio of the action itself. It
    is biased by how the state distribution has moved, and is what a surrogate objective differentiates.

    What differs from the lecture form: the average that is subtracted, several steps for each new batch, Adam.

    **Reference** Precup, Sutton and Singh, *Eligibility Traces for Off-Policy Policy Evaluation*, 2000; for policy
    gradients: Tang and Abbeel, *On a Connection between Importance Sampling and the Likelihood Ratio Policy Gradient*,
    2010.
    """

    name: ClassVar[str] = "importance_sampled_pg"
    title: ClassVar[str] = "Importance-sampled policy gradient (Tang and Abbeel, 2010)"

    num_envs: int = 16
    """Environments that are sampled side by side: one whole episode of each in an update."""
    policy: Literal["network", "linear", "tabular"] = "network"
    """A network; none, so that it is linear in the observation; or a logit for each pair of discrete observation and
    action."""
    weight: Literal["first_order", "causal", "whole"] = "first_order"
    """The ratio of the action itself; of all actions up to it; or of the whole episode."""
    weight_limit: Number = 2.0
    """Larger weights become this: less variance, more bias. inf never limits."""
    batches: int = 4
    """K: updates whose episodes are kept, the newest among them."""
    gradient_steps: int = 8
    """Steps of the policy in an update, each on all that is kept."""
    learning_rate: Number = 3e-3
    """Adam's."""

    def __post_init__(self):
        super().__post_init__()
        check_number("num_envs", self.num_envs, at_least=1, whole=True, remedy="16 is usual.")
        check_number(
            "weight_limit", self.weight_limit, above=0, infinite=True, remedy="2 to 10 are usual; inf never limits."
        )
        check_number("batches", self.batches, at_least=1, whole=True, remedy="4 is usual.")
        check_number("gradient_steps", self.gradient_steps, at_least=1, whole=True, remedy="8 is usual.")
        check_number("learning_rate", self.learning_rate, above=0, remedy="3e-3 is usual.")

    @property
    def steps_per_update(self) -> None:
        """One whole episode of every environment."""
        return

    def num_streams(self, observation: Space, action: Space) -> int:
        return self.num_envs

    def build(self, spec: Spec) -> EpisodeMemory:
        """Put the parts together for a task. **Raises** `InputError` for one without a time limit."""
        from steepest.advantages import ImportanceWeighted
        from steepest.algorithms.architecture import Architecture
        from steepest.algorithms.episode_memory import EpisodeMemory
        from steepest.replay import check_memory
        from steepest.steps import Ascent, Optimiser

        if spec.max_episode_steps is None:
            raise InputError(
                "importance_sampled_pg keeps whole episodes, and the environment has no time limit. Put it "
                "into gymnasium.wrappers.TimeLimit, or choose ppo."
            )
        check_memory(spec, self.batches, field="batches", transitions=spec.num_envs * spec.max_episode_steps)
        return EpisodeMemory(
            spec=spec,
            architecture=Architecture.of(self),
            weighting=ImportanceWeighted(self.discount, self.weight, self.weight_limit),
            policy_rule=Ascent(Optimiser(self.learning_rate)),
            batches=self.batches,
            gradient_steps=self.gradient_steps,
            normalise_observations=self.normalise_observations,
        )
