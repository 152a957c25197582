r"""Numbers to subtract from returns: no bias, less variance (G6, T10).

A baseline made of the very sample that it is subtracted from is not independent of it, and biases the gradient by a
share of 1/N. In leave-one-out form the baseline of an episode is made of the *other* episodes, and there is no bias.
With one episode there are no others: the baseline is then 0.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class AbstractBaseline(eqx.Module):
    """A number for each row, from the returns of N streams that play an episode each.

    - `leave_one_out`: make it of the other streams only.
    """

    leave_one_out: bool = eqx.field(static=True, default=True)

    @abc.abstractmethod
    def __call__(self, returns: Float[Array, "T N"], valid: Bool[Array, "T N"]) -> Float[Array, "T N"]:
        """The baseline of each row. `returns` may hold anything where rows are not valid."""

    def mean_of(self, total: Float[Array, "*rows N"], count: Float[Array, "*rows N"]) -> Float[Array, "*rows N"]:
        """The mean over streams of `total` / `count`, each stream's own left out where that was asked for."""
        if self.leave_one_out:
            total, count = _others(total), _others(count)
        else:
            total, count = (jnp.sum(each, -1, keepdims=True) + jnp.zeros_like(each) for each in (total, count))
        return jnp.where(count > 0, total / jnp.where(count > 0, count, 1), 0)


class AverageReturn(AbstractBaseline):
    r"""$b = \frac1N\sum_i R(\tau_i)$, the same for every row."""

    def __call__(self, returns: Float[Array, "T N"], valid: Bool[Array, "T N"]) -> Float[Array, "T N"]:
        first = returns[0]
        return jnp.broadcast_to(self.mean_of(first, jnp.ones_like(first))[None], returns.shape)


class AverageReturnToGo(AbstractBaseline):
    r"""$b$ = the mean of $R_t$ over all steps of all episodes, the same for every row."""

    def __call__(self, returns: Float[Array, "T N"], valid: Bool[Array, "T N"]) -> Float[Array, "T N"]:
        total, count = _counted(returns, valid)
        return jnp.broadcast_to(self.mean_of(jnp.sum(total, 0), jnp.sum(count, 0))[None], returns.shape)


class AveragePerTimeStep(AbstractBaseline):
    r"""$b_t$ = the mean of $R_t$ over the episodes that last that long."""

    def __call__(self, returns: Float[Array, "T N"], valid: Bool[Array, "T N"]) -> Float[Array, "T N"]:
        return self.mean_of(*_counted(returns, valid))


def variance_optimal(
    scores: Float[Array, "N P"], returns: Float[Array, " N"], *, per_parameter: bool, leave_one_out: bool
) -> Float[Array, "N #P"]:
    r"""The constant baseline of the whole return that leaves the gradient the least variance (G6).

    $$b_j = \frac{E[g_j^2 R]}{E[g_j^2]} \quad\text{for each parameter } j, \qquad
      b = \frac{E[\lVert g\rVert^2 R]}{E[\lVert g\rVert^2]} \quad\text{for all of them}$$

    **Arguments**

    - `scores`: $g_i = \sum_t \nabla\log\pi(a_t|s_t)$ of each episode.
    - `returns`: $R(\tau_i)$, in the unit of reward.

    **Returns** [N, P], or [N, 1] for the scalar form; the rows differ in leave-one-out form only.

    **Reference** Peters and Schaal, *Reinforcement Learning of Motor Skills with Policy Gradients*, 2008.
    """
    square = jnp.square(scores)
    if not per_parameter:
        square = jnp.sum(square, axis=1, keepdims=True)
    own = square * returns[:, None]
    if leave_one_out:
        weighted, weight = _others(own.T).T, _others(square.T).T
    else:
        weighted, weight = (jnp.sum(each, 0, keepdims=True) + jnp.zeros_like(each) for each in (own, square))
    return jnp.where(weight > 0, weighted / jnp.where(weight > 0, weight, 1), 0)


def _counted(returns: Float[Array, "T N"], valid: Bool[Array, "T N"]) -> tuple[Array, Array]:
    return jnp.where(valid, returns, 0), valid.astype(returns.dtype)


def _others(values: Float[Array, "*rows N"]) -> Float[Array, "*rows N"]:
    """The sum over the last axis of all but the own entry, without the cancellation of a difference."""
    before = jnp.cumsum(values, axis=-1) - values
    return before + (jnp.cumsum(values[..., ::-1], axis=-1) - values[..., ::-1])[..., ::-1]
