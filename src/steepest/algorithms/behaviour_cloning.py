"""Behaviour cloning (A3)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar, Literal

from steepest.algorithms.hyper_parameters import HyperParameters, Number
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Space, Spec


@dataclasses.dataclass(frozen=True)
class BehaviourCloning(HyperParameters):
    r"""Behaviour cloning: make the demonstrated actions likely.

    $$\max_\theta\ \frac{1}{B}\sum_i \log\pi_\theta(a_i|s_i)$$

    | part | choice |
    |---|---|
    | trajectory | demonstrated transitions, without replacement, epoch after epoch |
    | advantage | 1 for every action (G16) |
    | objective | score, whose gradient is then that of the mean log-likelihood, + β · entropy |
    | step rule | one ascent step with Adam for each batch |
    | critic | none |

    No environment is played while it learns, and a step is a demonstrated transition that was learnt from. What it
    knows nothing of is where its own mistakes lead: states that the expert never saw.

    A part of the demonstrations is held out, so that the metrics show when learning becomes learning by heart
    (`held_out_log_likelihood` falls). The last policy counts all the same: the most likely policy on held-out rows
    is not the one with the highest return, as a rule.

    What differs from the paper: Adam and a learning rate that falls to 0 in place of plain gradient descent.

    **Reference** Pomerleau, *Efficient Training of Artificial Neural Networks for Autonomous Navigation*, 1991;
    of held-out likelihood and return: Mandlekar et al., *What Matters in Learning from Offline Human Demonstrations for
    Robot Manipulation*, 2021.
    """

    name: ClassVar[str] = "behaviour_cloning"
    title: ClassVar[str] = "Behaviour cloning: maximum likelihood of demonstrated actions"
    demonstrated: ClassVar[bool] = True

    policy: Literal["network", "linear", "tabular"] = "network"
    """A network; none, so that it is linear in the observation; or a logit for each pair of discrete observation and
    action."""
    normalise_observations: bool = True
    """Shift and scale observations by the mean and deviation of the demonstrated ones."""
    batch_size: int = 64
    """Demonstrated transitions in one gradient step."""
    learning_rate: Number = 3e-3
    """Adam's."""
    anneal: bool = True
    """Let the learning rate fall linearly to 0 at the end of training."""
    clip_global_norm: Number = math.inf
    """Longer gradients are shortened to this; infinite never clips."""
    entropy_bonus: Number = 0.0
    """β: the weight of the policy's entropy beside the log-likelihood; more than 0 keeps it from growing certain."""
    held_out: float = 0.1
    """Share of the episodes that is kept from learning, for the metrics alone; of single rows, where the
    demonstrations do not tell episodes. 0 learns from everything."""

    def __post_init__(self):
        super().__post_init__()
        check_number("batch_size", self.batch_size, at_least=1, whole=True, remedy="64 is usual.")
        check_number("learning_rate", self.learning_rate, above=0, remedy="3e-3 is usual.")
        check_number("clip_global_norm", self.clip_global_norm, above=0, infinite=True, remedy="inf never clips.")
        check_number("entropy_bonus", self.entropy_bonus, at_least=0, remedy="0 to 0.01 are usual.")
        check_number("held_out", self.held_out, at_least=0, at_most=0.9, remedy="0.1 is usual.")

    def num_streams(self, observation: Space, action: Space) -> int:
        """Rows that have nothing to do with each other."""
        return self.batch_size

    @property
    def steps_per_update(self) -> int:
        """One batch."""
        return self.batch_size

    def build(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.advantages import Unit
        from steepest.algorithms.actor_critic import ActorCritic
        from steepest.algorithms.architecture import Architecture
        from steepest.core.interfaces import RolloutSpec
        from steepest.objectives import Score, plus_entropy
        from steepest.steps import Ascent, Optimiser

        falls_over = float(spec.total_updates) if self.anneal else math.inf
        return ActorCritic(
            spec=spec,
            rollout=RolloutSpec(length=1, demonstrated=True),
            architecture=Architecture.of(self),
            advantage=Unit(),
            objective=plus_entropy(Score(), self.entropy_bonus),
            policy_rule=Ascent(Optimiser(self.learning_rate, falls_over, self.clip_global_norm)),
            critic_rule=None,
            discount=1.0,
            normalise_advantages=False,
            normalise_observations=self.normalise_observations,
            scale_rewards=False,
        )
