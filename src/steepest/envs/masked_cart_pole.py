"""CartPole without velocities: MaskedCartPole-v0."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steepest.core.spaces import Box
from steepest.envs.cart_pole import CartPole, CartPoleState


class MaskedCartPole(CartPole):
    """MaskedCartPole-v0: CartPole of which only the cart's position and the pole's angle are seen.

    Dynamics, rewards, ends and constants are those of `CartPole`. The velocities are hidden, so that a policy of the
    observation alone cannot tell a pole that falls from one that rises; one with memory sees them in the differences.

    **Reference:** Wieland, *Evolving neural network controllers for unstable systems*, 1991, and Bakker,
    *Reinforcement learning with long short-term memory*, 2002, who hide the velocities of a pole.
    """

    id: str = eqx.field(static=True, kw_only=True, default="MaskedCartPole-v0")

    @property
    def observation_space(self) -> Box:
        """Position and angle; the bounds are twice the limits, so that the last state fits."""
        high = np.array([2 * self.position_limit, 2 * self.angle_limit], np.float32)
        return Box(-high, high)

    def observe(self, state: CartPoleState) -> Float[Array, "2"]:
        """Position and angle."""
        return jnp.stack((state.position, state.angle))
