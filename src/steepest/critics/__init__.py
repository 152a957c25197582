"""Estimates of value, and how they are fitted."""

from steepest.critics.linear import LinearValue
from steepest.critics.q import (
    AbstractActionValue,
    ActionValue,
    TabularActionValue,
    expected_target,
)
from steepest.critics.regression import ClippedRegression, ValueRegression
from steepest.critics.target import polyak
from steepest.critics.time_dependent import AbstractValue, Stationary, TabularValue
from steepest.critics.v import StateValue

__all__ = [
    "AbstractActionValue",
    "AbstractValue",
    "ActionValue",
    "ClippedRegression",
    "LinearValue",
    "StateValue",
    "Stationary",
    "TabularActionValue",
    "TabularValue",
    "ValueRegression",
    "expected_target",
    "polyak",
]
