"""Monte-Carlo returns: the reward-to-go (G4), and its advantage over a baseline (G9)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from steepest.advantages.advantage import AbstractAdvantage
from steepest.core.trajectory import Estimates, Trajectory
from steepest.core.types import AnyArray


def reward_to_go(
    reward: Float[AnyArray, " T"],
    next_value: Float[AnyArray, " T"],
    terminated: Bool[AnyArray, " T"],
    truncated: Bool[AnyArray, " T"],
    *,
    discount: float | Float[Array, ""],
) -> Float[Array, " T"]:
    r"""What every step of one stream was worth: $R_t = \sum_{k \ge t} \gamma^{k-t} r_k$ to the end of its episode.

    Where looking stopped before the episode did, by truncation or at the end of the stream, $\gamma V(s')$ stands for
    the rest. Give zeros for `next_value` when there is no critic: the return then ends where looking ended.

    **Arguments**

    - `reward`: $r_t$, in the environment's unit.
    - `next_value`: $V(s'_t)$ of the true successor.
    - `terminated`, `truncated`: how step $t$ ended its episode, if it did.
    - `discount`: $\gamma \in [0, 1]$, per step.

    **Example**

    >>> import jax.numpy as jnp
    >>> no = jnp.zeros(3, bool)
    >>> reward_to_go(jnp.ones(3), jnp.zeros(3), no, jnp.array([False, True, False]), discount=0.5)
    Array([1.5, 1. , 1. ], dtype=float32)

    **Reference** Williams, *Simple statistical gradient-following algorithms*, 1992.
    """
    bootstrap = discount * (1 - terminated.astype(reward.dtype)) * next_value
    goes_on = 1 - jnp.logical_or(terminated, truncated).astype(reward.dtype)

    def backwards(following, step):
        reward, bootstrap, goes_on = step
        total = reward + goes_on * discount * following + (1 - goes_on) * bootstrap
        return total, total

    # What follows the last row is the critic's word for it, as if it had been truncated there.
    _, returns = jax.lax.scan(backwards, next_value[-1], (reward, bootstrap, goes_on), reverse=True)
    return returns


class MonteCarlo(AbstractAdvantage):
    """`reward_to_go` minus the value, for every stream; unbiased whatever the critic says of `obs`."""

    discount: float | Float[Array, ""]

    def __call__(
        self, trajectory: Trajectory, value: Float[Array, "T N"], next_value: Float[Array, "T N"]
    ) -> Estimates:
        def one_stream(reward, next_value, terminated, truncated):
            return reward_to_go(reward, next_value, terminated, truncated, discount=self.discount)

        returns = jax.vmap(one_stream, in_axes=1, out_axes=1)(
            trajectory.reward, next_value, trajectory.terminated, trajectory.truncated
        )
        return Estimates(returns - value, returns)


class WholeReturn(AbstractAdvantage):
    r"""The return of the whole episode at each of its rows, $R(\tau) = \sum_t \gamma^t r_t$ (G3); no use of causality.

    It is discounted from the start of the episode already, so no further factor $\gamma^t$ is due (G5).
    """

    discount: float | Float[Array, ""]

    def __call__(
        self, trajectory: Trajectory, value: Float[Array, "T N"], next_value: Float[Array, "T N"]
    ) -> Estimates:
        """Estimate from rewards; `next_value` counts where looking stopped before the episode did."""
        returns = MonteCarlo(self.discount)(trajectory, jnp.zeros_like(value), next_value).advantage
        ended = jnp.logical_or(trajectory.terminated, trajectory.truncated)

        def forwards(carry, row):
            whole, begins = carry
            returns, ended = row
            whole = jnp.where(begins, returns, whole)
            return (whole, ended), whole

        _, whole = jax.lax.scan(forwards, (returns[0], jnp.ones(ended.shape[1], bool)), (returns, ended))
        return Estimates(whole - value, returns)
