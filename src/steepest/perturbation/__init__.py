"""Gradients from evaluations of J alone, at parameters moved on purpose."""

from steepest.perturbation.finite_difference import FiniteDifference
from steepest.perturbation.linear_regression import Regression
from steepest.perturbation.perturbation import AbstractPerturbation

__all__ = ["AbstractPerturbation", "FiniteDifference", "Regression"]
