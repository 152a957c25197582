"""Returns of one policy from the episodes of another (G12)."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from steepest.advantages.monte_carlo import MonteCarlo
from steepest.core.errors import unknown
from steepest.core.trajectory import Trajectory
from steepest.core.types import AnyArray
from steepest.core.validation import check_number

WeightKind = Literal["whole", "causal", "first_order"]


class ImportanceWeighted(eqx.Module):
    r"""The reward-to-go of each row, weighted so that episodes of $\beta$ speak for $\pi$.

    With $\rho_k = \pi(a_k|s_k)/\beta(a_k|s_k)$:

    $$\text{whole: } \Big(\prod_{\text{all } k}\rho_k\Big) R_t, \qquad
      \text{causal: } \Big(\prod_{k\le t}\rho_k\Big)\sum_{u\ge t}\gamma^{u-t}\Big(\prod_{t<k\le u}\rho_k\Big) r_u,$$
    $$\text{first order: } \rho_t R_t$$

    Times $\nabla\log\pi(a_t|s_t)$ the first two are unbiased. A reward does not depend on what is done after it, so the
    causal form leaves those ratios out, and varies less. The third keeps the states and the futures of $\beta$:
    biased, but its variance does not grow with the length of an episode.

    **Arguments**

    - `discount`: $\gamma$, per step.
    - `kind`: which of the three.
    - `limit`: larger weights become this; infinite for none. It trades variance for bias.

    Products are sums of logarithms until the last moment.

    **Reference** Precup, Sutton and Singh, *Eligibility Traces for Off-Policy Policy Evaluation*, 2000.
    """

    discount: float | Float[Array, ""]
    kind: WeightKind = eqx.field(static=True)
    limit: float | Float[Array, ""] = float("inf")

    def __check_init__(self):
        if self.kind not in ("whole", "causal", "first_order"):
            raise unknown("importance weight", self.kind, ("whole", "causal", "first_order"))
        check_number("weight limit", self.limit, above=0, infinite=True, remedy="10 is usual; inf never limits.")

    def __call__(self, trajectory: Trajectory, log_ratio: Float[Array, "T N"]) -> tuple[Array, Array]:
        """The weighted returns [T, N], and the logarithms [T, N] of the weights that the kind is named after.

        **Arguments**

        - `log_ratio`: $\\log\\rho_t$ of each row; rows that are not valid may hold anything.
        """
        ended = jnp.logical_or(trajectory.terminated, trajectory.truncated)
        log_ratio = jnp.where(trajectory.valid, log_ratio, 0)
        log_weight = log_ratio if self.kind == "first_order" else _since_the_start(log_ratio, ended)
        if self.kind == "whole":
            log_weight = _at_the_end(log_weight, ended)
        weight = jnp.minimum(jnp.exp(log_weight), self.limit)
        if self.kind == "causal":
            return self._reward_to_go(trajectory, weight * trajectory.reward), log_weight
        return weight * self._reward_to_go(trajectory, trajectory.reward), log_weight

    def _reward_to_go(self, trajectory: Trajectory, reward: Float[AnyArray, "T N"]) -> Float[Array, "T N"]:
        paid = eqx.tree_at(lambda each: each.reward, trajectory, reward)
        zero = jnp.zeros_like(reward)
        return MonteCarlo(self.discount)(paid, zero, zero).value_target


def effective_sample_size(log_weight: Float[Array, " B"]) -> Float[Array, ""]:
    r"""$(\sum w)^2 / \sum w^2$: how many samples of equal weight would tell as much.

    >>> effective_sample_size(jnp.log(jnp.array([1.0, 1.0, 1e-9])))
    Array(2., dtype=float32)

    **Reference** Kong, *A Note on Importance Sampling using Standardized Weights*, 1992.
    """
    weight = jnp.exp(log_weight - jnp.max(log_weight))
    return jnp.square(jnp.sum(weight)) / jnp.sum(jnp.square(weight))


def _since_the_start(log_ratio: Array, ended: Array) -> Array:
    def forwards(carry, row):
        log_ratio, ended = row
        total = carry + log_ratio
        return jnp.where(ended, 0, total), total

    return jax.lax.scan(forwards, jnp.zeros_like(log_ratio[0]), (log_ratio, ended))[1]


def _at_the_end(log_weight: Array, ended: Array) -> Array:
    """At every row what stands at the last row of its episode."""

    def backwards(following, row):
        log_weight, ended = row
        last = jnp.where(ended, log_weight, following)
        return last, last

    return jax.lax.scan(backwards, log_weight[-1], (log_weight, ended), reverse=True)[1]
