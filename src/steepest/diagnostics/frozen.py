"""A policy together with the observation statistics that it was trained with."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steepest.core.distributions import AbstractDistribution
from steepest.core.histories import Histories
from steepest.core.moments import AbstractNormaliser
from steepest.core.types import PyTree
from steepest.policies import AbstractPolicy


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


class NormalisedPolicy(AbstractPolicy):
    """A policy on raw observations, which it normalises for `policy`. Its parameters are those of `policy` alone."""

    policy: AbstractPolicy
    normaliser: FrozenNormaliser = eqx.field(static=True)

    def __call__(self, obs: PyTree) -> AbstractDistribution:
        """The action distribution $\\pi_\\theta(\\cdot|s)$."""
        if isinstance(obs, Histories):
            return self.policy(dataclasses.replace(obs, obs=self.normaliser(obs.obs)))
        return self.policy(self.normaliser(obs))

    def initial_carry(self, num_streams: int) -> PyTree:
        return self.policy.initial_carry(num_streams)

    def step(self, carry: PyTree, obs: PyTree) -> tuple[AbstractDistribution, PyTree]:
        return self.policy.step(carry, self.normaliser(obs))
