"""n-step advantages (G10; G8 is n = 1)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from steepest.advantages.advantage import AbstractAdvantage
from steepest.core.trajectory import Estimates, Trajectory
from steepest.core.types import AnyArray
from steepest.core.validation import check_number


def n_step_return(
    reward: Float[AnyArray, " T"],
    next_value: Float[AnyArray, " T"],
    terminated: Bool[AnyArray, " T"],
    truncated: Bool[AnyArray, " T"],
    *,
    discount: float | Float[Array, ""],
    n: int,
) -> Float[Array, " T"]:
    r"""The return of every step of one stream, with the critic's word for what comes after `n` steps.

    $$R^{(n)}_t = \sum_{k=0}^{n-1} \gamma^k r_{t+k} + \gamma^n V(s_{t+n})$$

    Where the episode or the stream ends within the n steps, the sum ends with it: with 0 after a termination, with
    $V(s')$ after a truncation or at the end of the stream.

    **Arguments**

    - `reward`: $r_t$, in the environment's unit.
    - `next_value`: $V(s'_t)$ of the true successor.
    - `terminated`, `truncated`: how step $t$ ended its episode, if it did.
    - `discount`: $\gamma \in [0, 1]$, per step.
    - `n`: how many rewards are believed before the critic is asked; at least 1.

    **Example**

    >>> import jax.numpy as jnp
    >>> one, no = jnp.ones(3), jnp.zeros(3, bool)
    >>> n_step_return(one, 8 * one, no, no, discount=0.5, n=2)
    Array([3.5, 3.5, 5. ], dtype=float32)

    **Reference** Sutton and Barto, *Reinforcement Learning*, 2nd edition, 2018, eq. 7.1.
    """
    keeps = 1 - terminated.astype(reward.dtype)
    ended = terminated | truncated

    def backwards(following, step):  # following[k-1] is the k-step return of the next row
        reward, bootstrap, ended = step
        tail = jnp.concatenate([bootstrap[None], jnp.where(ended, bootstrap, following[:-1])])
        returns = reward + discount * tail
        return returns, returns[-1]

    bootstrap = keeps * next_value
    # The last row has no successor in the stream, so every horizon ends there as it does at a truncation.
    ended = jnp.asarray(ended).at[-1].set(True)
    _, returns = jax.lax.scan(backwards, jnp.zeros(n, reward.dtype), (reward, bootstrap, ended), reverse=True)
    return returns


class NStep(AbstractAdvantage):
    """`n_step_return` minus the value, for every stream; the critic's target is the return."""

    discount: float | Float[Array, ""]
    n: int = eqx.field(static=True)

    def __check_init__(self):
        check_number("n", self.n, at_least=1, whole=True, remedy="5 is usual.")

    def __call__(
        self, trajectory: Trajectory, value: Float[Array, "T N"], next_value: Float[Array, "T N"]
    ) -> Estimates:
        def one_stream(reward, next_value, terminated, truncated):
            return n_step_return(reward, next_value, terminated, truncated, discount=self.discount, n=self.n)

        returns = jax.vmap(one_stream, in_axes=1, out_axes=1)(
            trajectory.reward, next_value, trajectory.terminated, trajectory.truncated
        )
        return Estimates(returns - value, returns)
