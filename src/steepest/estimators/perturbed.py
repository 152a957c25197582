"""Gradients from the performance of perturbed policies (G1, G2)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, Key

from steepest.core.interfaces import Policy
from steepest.core.problem import Info
from steepest.core.types import PyTree
from steepest.estimators.estimator import AbstractEstimator, AbstractRollouts
from steepest.perturbation import AbstractPerturbation

Evaluations = tuple[Float[Array, "M P"], Float[Array, " M"], Int[Array, ""]]
"""Offsets of the parameters, the performance at each, and the environment steps that all took together."""


class Perturbed(AbstractEstimator):
    """An estimator of ∇J from the sampled returns of perturbed policies: finite differences or regression.

    Every perturbed policy plays `episodes` episodes, so it takes as many times the steps of other estimators.

    **Arguments**

    - `perturbation`: the perturbations, and the gradient from their returns.
    - `common_random_numbers`: use the same random numbers for all policies, so that most noise cancels in differences.
    """

    perturbation: AbstractPerturbation
    discount: float | Float[Array, ""]
    common_random_numbers: bool = eqx.field(static=True, default=True)

    def collect(self, key: Key[Array, ""], policy: Policy, rollouts: AbstractRollouts, episodes: int) -> PyTree:
        for_offsets, for_luck = jax.random.split(key)
        vector, unravel = ravel_pytree(policy)
        offsets = self.perturbation.offsets(for_offsets, vector.shape[0])
        count = offsets.shape[0]
        if self.common_random_numbers:
            keys = jnp.broadcast_to(for_luck[None], (count,))
        else:
            keys = jax.random.split(for_luck, count)
        policies = jax.vmap(lambda offset: unravel(vector + offset))(offsets)
        performance, steps = rollouts.performances(keys, policies, episodes, self.discount)
        return offsets, performance, steps

    def gradient(self, policy: Policy, data: PyTree) -> tuple[PyTree, Info]:
        offsets, performance, steps = data
        gradient = self.perturbation.gradient(offsets, performance)
        return ravel_pytree(policy)[1](gradient), {"steps": steps}
