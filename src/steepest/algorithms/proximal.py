"""What the algorithms that take several epochs of minibatches share."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from steepest.algorithms.hyper_parameters import Number, SegmentHyperParameters, check_minibatch
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.core.spaces import Spec
    from steepest.steps import MinibatchAscent


@dataclasses.dataclass(frozen=True)
class ProximalHyperParameters(SegmentHyperParameters):
    """Of algorithms that climb a surrogate in minibatches, with Adam."""

    epochs: int = 10
    """Passes over the rows of an update."""
    minibatch_size: int = 64
    """Rows in one gradient step; must divide num_envs × segment_length."""
    learning_rate: Number = 3e-4
    """Adam's, for the policy."""
    kl_stop: float = math.inf
    """Make no further epoch once the policy has moved by more than this, in nats."""
    normalise_advantages: bool = True
    """Standardise advantages over the update."""

    def __post_init__(self):
        super().__post_init__()
        check_number("epochs", self.epochs, at_least=1, whole=True, remedy="4 to 10 are usual.")
        check_number("learning_rate", self.learning_rate, above=0, remedy="3e-4 is usual.")
        check_number("kl_stop", self.kl_stop, above=0, infinite=True, remedy="0.02 is usual; inf never stops.")
        check_minibatch(self.minibatch_size, self.segment_length, self.num_envs)

    def climbing(self, spec: Spec) -> MinibatchAscent:
        """The policy's climb."""
        return self._ascent(spec, self.learning_rate, self.kl_stop)

    def fitting(self, spec: Spec) -> MinibatchAscent:
        """The critic's."""
        rate = self.learning_rate if self.critic_learning_rate is None else self.critic_learning_rate
        return self._ascent(spec, rate, math.inf)

    def _ascent(self, spec: Spec, rate: Number, kl_stop: float) -> MinibatchAscent:
        from steepest.steps import MinibatchAscent, Optimiser

        optimiser = Optimiser(rate, self.anneal_over(spec), self.clip_global_norm)
        return MinibatchAscent(optimiser, self.epochs, self.minibatch_size, kl_stop)
