"""Generalised advantage estimation (G11)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from steepest.advantages.advantage import AbstractAdvantage
from steepest.core.trajectory import Estimates, Trajectory
from steepest.core.types import AnyArray


def gae(
    reward: Float[AnyArray, " T"],
    value: Float[AnyArray, " T"],
    next_value: Float[AnyArray, " T"],
    terminated: Bool[AnyArray, " T"],
    truncated: Bool[AnyArray, " T"],
    *,
    discount: float | Float[Array, ""],
    gae_lambda: float | Float[Array, ""],
) -> Float[Array, " T"]:
    r"""Advantage of every step of one stream: all n-step advantages, weighted by $\lambda^{n-1}$.

    $$\delta_t = r_t + \gamma\,(1-\mathrm{terminated}_t)\,V(s'_t) - V(s_t), \qquad
      A_t = \delta_t + \gamma\lambda\,(1-\mathrm{ended}_t)\,A_{t+1}$$

    A stream may hold several episodes. Termination says that nothing follows, so the successor is worth 0;
    truncation says that we stopped looking, so the successor keeps its value. Both end the sum, and so does the
    end of the stream.

    **Arguments**

    - `reward`: $r_t$, in the environment's unit.
    - `value`, `next_value`: $V(s_t)$ and $V(s'_t)$, where $s'_t$ is the true successor, never the first state of
      the next episode.
    - `terminated`, `truncated`: how step $t$ ended its episode, if it did.
    - `discount`: $\gamma \in [0, 1]$, per step.
    - `gae_lambda`: $\lambda \in [0, 1]$. 0 trusts the critic (TD(0), G8); 1 trusts the returns (Monte Carlo, G9).

    **Returns** the advantages, in the unit of `reward`. Add `value` for the critic's target.

    **Example**

    >>> import jax.numpy as jnp
    >>> one, no = jnp.ones(2), jnp.zeros(2, bool)
    >>> gae(one, one, one, no, no, discount=0.5, gae_lambda=1.0)
    Array([0.75, 0.5 ], dtype=float32)

    **Reference** Schulman et al., *High-Dimensional Continuous Control Using Generalized Advantage Estimation*, 2016,
    eq. 16.
    """
    delta = reward + discount * (1 - terminated.astype(reward.dtype)) * next_value - value
    carried = discount * gae_lambda * (1 - jnp.logical_or(terminated, truncated).astype(reward.dtype))

    def backwards(following, step):
        delta, carried = step
        advantage = delta + carried * following
        return advantage, advantage

    _, advantage = jax.lax.scan(backwards, delta[0] * 0, (delta, carried), reverse=True)
    return advantage


class GAE(AbstractAdvantage):
    """`gae` for every stream of a trajectory; the critic's target is advantage + value."""

    discount: float | Float[Array, ""]
    gae_lambda: float | Float[Array, ""]

    def __call__(
        self, trajectory: Trajectory, value: Float[Array, "T N"], next_value: Float[Array, "T N"]
    ) -> Estimates:
        def one_stream(reward, value, next_value, terminated, truncated):
            return gae(
                reward, value, next_value, terminated, truncated, discount=self.discount, gae_lambda=self.gae_lambda
            )

        advantage = jax.vmap(one_stream, in_axes=1, out_axes=1)(
            trajectory.reward, value, next_value, trajectory.terminated, trajectory.truncated
        )
        return Estimates(advantage, advantage + value)
