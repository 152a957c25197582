"""Estimates of value, and how they are fitted."""

from steepest.critics.v import StateValue, ValueRegression

__all__ = ["StateValue", "ValueRegression"]
