"""Gradients from evaluations of J alone, at parameters moved on purpose."""

from steepest.perturbation.finite_difference import FiniteDifference
from steepest.perturbation.perturbation import AbstractPerturbation
from steepest.perturbation.regression import Regression

__all__ = ["AbstractPerturbation", "FiniteDifference", "Regression"]
