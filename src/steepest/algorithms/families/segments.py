"""Algorithms that learn from segments of running episodes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from steepest.algorithms import fields
from steepest.algorithms.hyper_parameters import HyperParameters
from steepest.core.errors import InputError

if TYPE_CHECKING:
    from jax import Array

    from steepest.core.schedules import Number
    from steepest.core.spaces import Space
    from steepest.steps import MinibatchAscent, Optimiser


class SegmentHyperParameters(HyperParameters):
    """Of algorithms that learn from `num_envs` × `segment_length` steps an update."""

    num_envs: fields.NumEnvs
    segment_length: fields.SegmentLength = 1
    anneal: fields.Anneal

    def num_streams(self, observation: Space, action: Space) -> int:
        return self.num_envs

    @property
    def steps_per_update(self) -> int:
        """One segment of every environment."""
        return self.num_envs * self.segment_length

    def annealed(self, rate: float | Array) -> Number:
        """The rate, on a straight line to 0 at the end of the run where `anneal` asks for it."""
        from steepest.core.schedules import Linear

        return Linear(rate, 0.0) if self.anneal else rate

    def check_critic_rate(self) -> None:
        """Refuse a critic without a rate, where no rate of the policy can stand in for it."""
        if getattr(self, "critic_learning_rate") is None:  # noqa: B009  not every algorithm has the field
            raise InputError("critic_learning_rate is None, and there is no other rate for the critic. 1e-3 is usual.")

    @property
    def minibatch_rows(self) -> int:
        """`minibatch_size`; with memory, as many rows as whole streams or sequences have that hold so many."""
        size: int = getattr(self, "minibatch_size")  # noqa: B009  not every algorithm has the field
        if getattr(self, "memory", "none") == "none":
            return size
        length = getattr(self, "sequence_length", None) or self.segment_length
        return -(-size // length) * length

    def minibatch_ascent(self, optimiser: Optimiser, epochs: int, kl_stop: float = math.inf) -> MinibatchAscent:
        """Passes over minibatches of rows; with memory, of whole streams or sequences."""
        from steepest.steps import MinibatchAscent

        length, recompute = getattr(self, "sequence_length", None), getattr(self, "recompute_memory", False)
        return MinibatchAscent(optimiser, epochs, self.minibatch_rows, kl_stop, length, recompute)

    def check_memory(self) -> None:
        super().check_memory()
        length, recompute = getattr(self, "sequence_length", None), getattr(self, "recompute_memory", False)
        if length is not None and getattr(self, "memory", "none") == "none":
            raise InputError(
                f"sequence_length is {length}, but memory is 'none'. Take 'gru' or 'lstm', or leave it out."
            )
        if length is not None and self.segment_length % length:
            raise InputError(
                f"sequence_length is {length}; it must divide segment_length, which is {self.segment_length}. "
                f"Give a divisor."
            )
        if recompute and length is None:
            raise InputError(
                "recompute_memory is True, but sequence_length is None: a whole segment begins with the memory that "
                "acted, and there is nothing to compute anew. Give a sequence_length, such as 32, or leave it out."
            )

    def _check_streams(self, size: int) -> None:
        length = getattr(self, "sequence_length", None) or self.segment_length
        count, streams = -(-size // length), self.steps_per_update // length
        if streams % count:
            divisor = min((each for each in range(1, streams + 1) if streams % each == 0), key=lambda n: abs(n - count))
            kind = "streams" if length == self.segment_length else "sequences"
            raise InputError(
                f"minibatch_size is {size}, which takes {count} {kind} of {length} rows; the {streams} that there are "
                f"must be a multiple of them. The nearest that fits is {divisor * length}."
            )

    def check_minibatch(self, size: int) -> None:
        """Refuse a minibatch that does not divide the rows of an update, and name the nearest that does."""
        rows = self.steps_per_update
        if getattr(self, "memory", "none") != "none":
            self._check_streams(size)
        elif rows % size:
            small = [each for each in range(1, math.isqrt(rows) + 1) if rows % each == 0]
            divisor = min((each for one in small for each in (one, rows // one)), key=lambda each: abs(each - size))
            raise InputError(
                f"minibatch_size is {size}; it must divide segment_length × num_envs = {self.segment_length} × "
                f"{self.num_envs} = {rows}. The nearest that does is {divisor}."
            )
