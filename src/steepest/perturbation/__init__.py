"""Zeroth-order gradient estimates, from evaluations of J at perturbed parameters."""

from steepest.perturbation.finite_difference import FiniteDifference
from steepest.perturbation.linear_regression import Regression
from steepest.perturbation.perturbation import AbstractPerturbation

__all__ = ["AbstractPerturbation", "FiniteDifference", "Regression"]
