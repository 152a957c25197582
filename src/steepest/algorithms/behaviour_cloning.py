"""Behaviour cloning (A3)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms import fields
from steepest.algorithms.hyper_parameters import HyperParameters

if TYPE_CHECKING:
    from steepest.algorithms.bodies.actor_critic import ActorCritic
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

    entropy_bonus: fields.EntropyBonus = 0.0
    learning_rate: fields.LearningRate = 3e-3
    anneal: fields.Anneal = True
    clip_global_norm: fields.ClipGlobalNorm = math.inf
    batch_size: fields.BatchSize = 64
    held_out: fields.HeldOut = 0.1
    policy: fields.Policy = "network"
    encoder: fields.Encoder = "auto"
    channels: fields.Channels = "auto"
    hidden: fields.Hidden = (64, 64)
    activation: fields.Activation = "tanh"
    gaussian: fields.GaussianKind = "gaussian"
    log_std: fields.LogStd = 0.0
    normalise_observations: fields.NormaliseObservations = True

    def num_streams(self, observation: Space, action: Space) -> int:
        """Rows that have nothing to do with each other."""
        return self.batch_size

    @property
    def steps_per_update(self) -> int:
        """One batch."""
        return self.batch_size

    def build(self, spec: Spec) -> ActorCritic:
        from steepest.advantages import Unit
        from steepest.core.interfaces import RolloutSpec
        from steepest.core.schedules import Linear
        from steepest.objectives import Entropy, Score
        from steepest.steps import Ascent, Optimiser

        rate = Linear(self.learning_rate, 0.0) if self.anneal else self.learning_rate
        return self.actor_critic(
            spec,
            rollout=RolloutSpec(length=1, demonstrated=True),
            advantage=Unit(),
            objective=Score() + self.entropy_bonus * Entropy(),
            policy_rule=Ascent(Optimiser(rate, self.clip_global_norm)),
        )
