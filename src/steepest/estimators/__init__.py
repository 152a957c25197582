"""Estimators of the policy gradient ∇J, behind one interface."""

from steepest.estimators.estimator import AbstractEstimator, AbstractRollouts
from steepest.estimators.likelihood_ratio import FittedCritic, LikelihoodRatio, VarianceOptimal
from steepest.estimators.off_policy import DeterministicGradient, FreshAction, ImportanceSampled, OffPolicy
from steepest.estimators.perturbed import Perturbed

__all__ = [
    "AbstractEstimator",
    "AbstractRollouts",
    "DeterministicGradient",
    "FittedCritic",
    "FreshAction",
    "ImportanceSampled",
    "LikelihoodRatio",
    "OffPolicy",
    "Perturbed",
    "VarianceOptimal",
]
