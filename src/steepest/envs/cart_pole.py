"""Balance a pole on a cart: CartPole-v1."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt8

from steepest.core.spaces import Box, Discrete
from steepest.envs.environment import AbstractEnvironment


class CartPoleState(NamedTuple):
    """Where the cart and the pole are; one array a field, because XLA then never gathers or scatters columns."""

    position: Float[Array, ""]
    """Of the cart, in metres from the middle of the track."""
    velocity: Float[Array, ""]
    """Of the cart, in m/s."""
    angle: Float[Array, ""]
    """Of the pole, in radians from upright, positive towards positive positions."""
    angular_velocity: Float[Array, ""]
    """Of the pole, in rad/s."""


class CartPole(AbstractEnvironment[CartPoleState]):
    r"""CartPole-v1: push a cart left (0) or right (1) so that the pole hinged on it stays up.

    With the force $F = \pm$ `force`, total mass $M$, pole mass $m$ and half length $l$,

    $$u = \frac{F + m l \dot\theta^2 \sin\theta}{M}, \qquad
      \ddot\theta = \frac{g \sin\theta - u \cos\theta}{l\,(4/3 - m \cos^2\theta / M)}, \qquad
      \ddot x = u - \frac{m l}{M}\, \ddot\theta \cos\theta,$$

    integrated by one explicit Euler step. Every step earns 1, the last one too. The episode terminates when the cart
    leaves the track or the pole leans too far.

    **Reference:** Barto, Sutton, Anderson, *Neuronlike adaptive elements that can solve difficult learning control
    problems*, 1983; without friction, as in Florian, *Correct equations for the dynamics of the cart-pole system*,
    2007, and as in Gymnasium's environment of the same name.
    """

    id: str = eqx.field(static=True, kw_only=True, default="CartPole-v1")
    max_episode_steps: int | None = eqx.field(static=True, kw_only=True, default=500)
    render_fps: int = eqx.field(static=True, kw_only=True, default=50)

    gravity: float = 9.8
    """In m/s²."""
    cart_mass: float = 1.0
    """In kg."""
    pole_mass: float = 0.1
    """In kg."""
    pole_half_length: float = 0.5
    """From the hinge to the pole's centre of mass, in m."""
    force: float = 10.0
    """That either action applies to the cart, in N."""
    time_step: float = 0.02
    """Between two actions, in s."""
    position_limit: float = 2.4
    """Where the track ends, on either side, in m."""
    angle_limit: float = math.radians(12)
    """Beyond which the pole counts as fallen, in rad."""
    initial_bound: float = 0.05
    """Every component of the first state is uniform between minus and plus this, in its own unit."""

    @property
    def observation_space(self) -> Box:
        """Position, velocity, angle, angular velocity; the bounds are twice the limits, so that the last state fits."""
        high = np.array([2 * self.position_limit, np.inf, 2 * self.angle_limit, np.inf], np.float32)
        return Box(-high, high)

    @property
    def action_space(self) -> Discrete:
        """0 pushes towards negative positions, 1 towards positive ones."""
        return Discrete(2)

    def initial(self, key: Key[Array, ""]) -> CartPoleState:
        """Nearly at rest, nearly upright, near the middle."""
        return CartPoleState(
            *jax.random.uniform(key, (4,), jnp.float32, minval=-self.initial_bound, maxval=self.initial_bound)
        )

    def observe(self, state: CartPoleState) -> Float[Array, "4"]:
        """The state itself."""
        return jnp.stack(state)

    def step(
        self, key: Key[Array, ""], state: CartPoleState, action: Int[Array, ""]
    ) -> tuple[CartPoleState, Float[Array, ""], Bool[Array, ""]]:
        """Push for one time step. The dynamics are deterministic: `key` is not used."""
        position, velocity, angle, angular_velocity = state
        total_mass = self.cart_mass + self.pole_mass
        pole_moment = self.pole_mass * self.pole_half_length
        sine, cosine = jnp.sin(angle), jnp.cos(angle)

        force = jnp.where(action == 1, self.force, -self.force)
        push = (force + pole_moment * angular_velocity * angular_velocity * sine) / total_mass
        angular_acceleration = (self.gravity * sine - cosine * push) / (
            self.pole_half_length * (4 / 3 - self.pole_mass / total_mass * cosine * cosine)
        )
        acceleration = push - pole_moment / total_mass * angular_acceleration * cosine

        successor = CartPoleState(
            position + self.time_step * velocity,
            velocity + self.time_step * acceleration,
            angle + self.time_step * angular_velocity,
            angular_velocity + self.time_step * angular_acceleration,
        )
        terminated = (jnp.abs(successor.position) > self.position_limit) | (jnp.abs(successor.angle) > self.angle_limit)
        return successor, jnp.ones((), jnp.float32), terminated

    def draw(self, state: CartPoleState, action: np.ndarray | None) -> UInt8[np.ndarray, "height width 3"]:
        from steepest.envs.drawings.pendulums import draw_cart_pole

        return draw_cart_pole(
            float(state.position),
            float(state.angle),
            0.0 if action is None else 2.0 * float(action) - 1,
            length=2 * float(self.pole_half_length),
            position_limit=float(self.position_limit),
            angle_limit=float(self.angle_limit),
        )
