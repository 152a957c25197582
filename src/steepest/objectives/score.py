"""The pseudo-loss of the score function (G16)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from steepest.core.distributions import AbstractDistribution
from steepest.core.histories import Histories
from steepest.core.problem import Info, weighted_mean
from steepest.core.trajectory import Batch
from steepest.core.types import PyTree
from steepest.objectives.objective import AbstractObjective


class Score(AbstractObjective):
    r"""$\frac{1}{\sum w}\sum_i w_i \log\pi_\theta(a_i|s_i)\,\hat A_i$

    Its gradient at the policy that acted is the policy gradient, a mean over steps. Elsewhere it is the gradient of
    nothing: take one step and sample anew.

    **Reference** Williams, *Simple statistical gradient-following algorithms*, 1992.
    """

    @property
    def surrogate(self) -> bool:
        return False

    def of(self, distribution: AbstractDistribution, batch: Batch) -> tuple[Float[Array, ""], Info]:
        advantage = jax.lax.stop_gradient(batch.advantage)
        return weighted_mean(distribution.log_prob(batch.action) * advantage, batch.weight), {}


def episode_scores(
    policy: PyTree, obs: PyTree, action: PyTree, valid: Bool[Array, "T N"]
) -> tuple[Float[Array, "N P"], Callable[[Array], PyTree]]:
    """$\\sum_t \\nabla\\log\\pi(a_t|s_t)$ of each stream's episode, and the way back to the shape of the policy.

    **Arguments**

    - `obs`: [T, N, …]; or the `Histories` of a policy with memory.
    """
    vector, unravel = ravel_pytree(policy)

    def log_probability(vector, obs, action, valid):
        return jnp.sum(jnp.where(valid, unravel(vector)(obs).log_prob(action), 0))

    def of_history(vector, stream, action, valid):
        return log_probability(vector, obs.take(times * obs.streams + stream), action, valid)

    if isinstance(obs, Histories):
        times, streams = (jnp.arange(count, dtype=jnp.int32) for count in valid.shape)
        scores = jax.vmap(jax.grad(of_history), (None, 0, 1, 1))(vector, streams, action, valid)
    else:
        scores = jax.vmap(jax.grad(log_probability), (None, 1, 1, 1))(vector, obs, action, valid)
    return scores, unravel
