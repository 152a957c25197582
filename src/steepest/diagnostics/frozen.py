"""A policy together with the observation statistics that it was trained with."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steepest.core.distributions import AbstractDistribution
from steepest.core.interfaces import Policy
from steepest.core.moments import AbstractNormaliser
from steepest.core.types import PyTree


class FrozenNormaliser:
    """A normaliser with constant statistics, which have no gradient.

    It is hashable, and so a static argument of compiled programs.
    """

    def __init__(self, normaliser: AbstractNormaliser):
        arrays, self._structure = jax.tree.flatten(normaliser)
        self._arrays = [np.asarray(each) for each in arrays]

    def __call__(self, obs: PyTree) -> PyTree:
        """Normalise the trailing axes of `obs`."""
        normaliser = jax.tree.unflatten(self._structure, [jnp.asarray(each) for each in self._arrays])
        return normaliser(jax.tree.map(jnp.asarray, obs))

    def _identity(self):
        return self._structure, tuple(each.tobytes() for each in self._arrays)

    def __eq__(self, other):
        return isinstance(other, FrozenNormaliser) and self._identity() == other._identity()

    def __hash__(self):
        return hash(self._identity())


class NormalisedPolicy(eqx.Module):
    """A policy on raw observations, which it normalises for `policy`. Its parameters are those of `policy` alone."""

    policy: Policy
    normaliser: FrozenNormaliser = eqx.field(static=True)

    def __call__(self, obs: PyTree) -> AbstractDistribution:
        """The action distribution $\\pi_\\theta(\\cdot|s)$."""
        return self.policy(self.normaliser(obs))
