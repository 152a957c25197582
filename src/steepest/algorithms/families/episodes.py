"""Algorithms that learn from whole episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from steepest.algorithms import fields
from steepest.algorithms.hyper_parameters import HyperParameters
from steepest.core.errors import InputError

if TYPE_CHECKING:
    from steepest.advantages import AbstractBaseline, Weighted
    from steepest.core.spaces import Space
    from steepest.objectives import AbstractObjective

OPTIMAL = ("optimal", "optimal_scalar")
"""Baselines that are made where scores are: in the gradient."""


class EpisodeHyperParameters(HyperParameters):
    """Of algorithms that play one whole episode of every environment, and then learn from all of them."""

    num_envs: fields.NumEnvs

    def num_streams(self, observation: Space, action: Space) -> int:
        return self.num_envs

    @property
    def steps_per_update(self) -> None:
        """As many as the episodes have."""
        return


@runtime_checkable
class ReturnWeighting(Protocol):
    """The hyper-parameters that say what scores are weighted with."""

    @property
    def discount(self) -> fields.Number: ...

    @property
    def returns(self) -> str: ...

    @property
    def discount_states(self) -> bool: ...

    @property
    def baseline(self) -> str: ...


def check_weighting(given: ReturnWeighting) -> None:
    """Refuse combinations of `returns`, `discount_states` and `baseline` that have no meaning."""
    if given.returns == "whole_return" and given.discount_states:
        raise InputError(
            "discount_states is True; the whole return is discounted from the start of the episode as it is. "
            "Leave it out, or take returns 'reward_to_go'."
        )
    if given.baseline in OPTIMAL and given.returns != "whole_return":
        raise InputError(
            f"baseline is {given.baseline!r}, which is of the whole return, but returns is {given.returns!r}. Take "
            "returns 'whole_return', or the baseline 'per_time_step'."
        )


def return_weights(given: ReturnWeighting) -> Weighted:
    """The weight of every row: its return, less a baseline, times γ^t where that was asked for."""
    from steepest.advantages import (
        AveragePerTimeStep,
        AverageReturn,
        AverageReturnToGo,
        MonteCarlo,
        Weighted,
        WholeReturn,
    )

    whole = given.returns == "whole_return"
    kinds: dict[str, type[AbstractBaseline]] = {
        "average_return": AverageReturn,
        "average_to_go": AverageReturnToGo,
        "per_time_step": AveragePerTimeStep,
    }
    baseline = kinds[given.baseline]() if given.baseline in kinds else None
    advantage = WholeReturn(given.discount) if whole else MonteCarlo(given.discount)
    return Weighted(advantage, given.discount, baseline, given.discount_states or whole)


def return_score(given: ReturnWeighting, streams: int) -> AbstractObjective:
    """The score, with the variance-optimal baseline where that was asked for."""
    from steepest.algorithms.bodies.optimal_baseline import OptimalBaselineScore
    from steepest.objectives import Score

    if given.baseline in OPTIMAL:
        return OptimalBaselineScore(streams, per_parameter=given.baseline == "optimal")
    return Score()
