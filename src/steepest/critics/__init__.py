"""Critics: value functions $V$ and $Q$, their regression targets and their fits."""

from steepest.critics.action_value import (
    AbstractActionValue,
    ActionValue,
    TabularActionValue,
    deterministic_target,
    expected_target,
)
from steepest.critics.compatible import CompatibleActionValue
from steepest.critics.linear import LinearValue
from steepest.critics.recurrent_value import RecurrentValue
from steepest.critics.state_value import (
    AbstractCriticObjective,
    AbstractStateValue,
    ClippedRegression,
    ClippedSquaredError,
    SquaredError,
    StateValue,
    ValueRegression,
)
from steepest.critics.target import polyak
from steepest.critics.time_dependent import AbstractTimeDependentValue, Stationary, TabularValue
from steepest.critics.views import ClippedActions, MinimumActionValue, within_bounds

__all__ = [
    "AbstractActionValue",
    "AbstractCriticObjective",
    "AbstractStateValue",
    "AbstractTimeDependentValue",
    "ActionValue",
    "ClippedActions",
    "ClippedRegression",
    "ClippedSquaredError",
    "CompatibleActionValue",
    "LinearValue",
    "MinimumActionValue",
    "RecurrentValue",
    "SquaredError",
    "StateValue",
    "Stationary",
    "TabularActionValue",
    "TabularValue",
    "ValueRegression",
    "deterministic_target",
    "expected_target",
    "polyak",
    "within_bounds",
]
