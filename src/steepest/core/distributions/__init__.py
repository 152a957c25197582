"""Distributions over actions: what a policy returns."""

from steepest.core.distributions.abstract import AbstractDistribution as AbstractDistribution
from steepest.core.distributions.bernoulli import Bernoulli as Bernoulli
from steepest.core.distributions.categorical import Categorical as Categorical
from steepest.core.distributions.gaussian import Gaussian as Gaussian
from steepest.core.distributions.multi_discrete import MultiDiscrete as MultiDiscrete
from steepest.core.distributions.product import Product as Product
from steepest.core.distributions.tanh_gaussian import TanhGaussian as TanhGaussian
