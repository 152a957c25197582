"""Linear feedback with Gaussian noise, for one number observed and one number done."""

import jax.numpy as jnp
from jaxtyping import Float

from steepest.core.distributions import Gaussian
from steepest.core.types import AnyArray
from steepest.policies.policy import AbstractPolicy


class LinearGaussian(AbstractPolicy):
    r"""$a \sim N(k s, \sigma^2)$ (T7).

    **Arguments**

    - `gain`: $k$.
    - `log_std`: $\log\sigma$.
    """

    gain: float | Float[AnyArray, ""]
    log_std: float | Float[AnyArray, ""]

    def __call__(self, obs: Float[AnyArray, "*batch 1"]) -> Gaussian:
        """The distribution of the action in each state of `obs`."""
        mean = self.gain * jnp.asarray(obs, jnp.result_type(self.gain))
        return Gaussian(mean, jnp.broadcast_to(self.log_std, mean.shape))
