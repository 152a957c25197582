"""Estimates of value, and how they are fitted."""

from steepest.critics.linear import LinearValue
from steepest.critics.q import (
    AbstractActionValue,
    ActionValue,
    ActionValueRegression,
    TabularActionValue,
    expected_target,
)
from steepest.critics.target import polyak
from steepest.critics.time_dependent import AbstractValue, Stationary, TabularValue
from steepest.critics.v import StateValue, ValueRegression

__all__ = [
    "AbstractActionValue",
    "AbstractValue",
    "ActionValue",
    "ActionValueRegression",
    "LinearValue",
    "StateValue",
    "Stationary",
    "TabularActionValue",
    "TabularValue",
    "ValueRegression",
    "expected_target",
    "polyak",
]
