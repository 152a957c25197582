"""No advantage of one action over another: imitate them all."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from steepest.advantages.advantage import AbstractAdvantage
from steepest.core.trajectory import Estimates, Trajectory


class Unit(AbstractAdvantage):
    r"""$\hat A = 1$ for every action, whatever came of it (G16).

    The score weighted with 1 is the gradient of the mean log-likelihood of the actions. The critic's target is 0.
    """

    def __call__(
        self, trajectory: Trajectory, value: Float[Array, "T N"], next_value: Float[Array, "T N"]
    ) -> Estimates:
        """Ones, [T, N]; the values are not looked at."""
        return Estimates(jnp.ones_like(trajectory.reward), jnp.zeros_like(trajectory.reward))
