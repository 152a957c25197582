"""Gradients from the performance of perturbed policies (G1, G2)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from steepest.core.interfaces import Policy
from steepest.core.problem import Info
from steepest.core.types import PyTree
from steepest.estimators.estimator import AbstractEstimator, AbstractRollouts
from steepest.perturbation import AbstractPerturbation


class Perturbed(AbstractEstimator):
    """Evaluates J at perturbed parameters, all at once, and asks `perturbation` what that says of the gradient.

    Every perturbed policy plays `episodes` episodes, so the steps taken are as many times those of other estimators.

    **Arguments**

    - `common_random_numbers`: all policies meet the same luck, so that most of it cancels in the differences.
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
