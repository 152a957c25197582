"""The factor that makes a gradient of rows the gradient of J (G5)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from steepest.core.types import AnyArray


def elapsed(ended: Bool[AnyArray, "T N"]) -> Int[Array, "T N"]:
    """Steps since the episode of each row began, where every stream begins one.

    >>> elapsed(jnp.array([[False], [True], [False]]))[:, 0].tolist()
    [0, 1, 0]
    """

    def forwards(time, ended):
        return jnp.where(ended, 0, time + 1), time

    return jax.lax.scan(forwards, jnp.zeros(ended.shape[1], jnp.int32), jnp.asarray(ended))[1]


def state_discount(ended: Bool[AnyArray, "T N"], discount: float | Float[Array, ""]) -> Float[Array, "T N"]:
    r"""$\gamma^t$, with t counted from the start of each episode.

    $\sum_t \gamma^t \nabla\log\pi(a_t|s_t) R_t$ is the gradient of $J$ (G5, option 2). Without the factor (option 1,
    what nearly everybody runs) states late in an episode count as much as the first ones: the gradient of no function
    in general, though often the better teacher.

    **Reference** Thomas, *Bias in Natural Actor-Critic Algorithms*, 2014; Nota and Thomas, *Is the Policy Gradient a
    Gradient?*, 2020.
    """
    return jnp.asarray(discount, jnp.float32) ** elapsed(ended).astype(jnp.float32)
