"""Swing a pendulum up and hold it there: Pendulum-v1."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, UInt8

from steepest.core.spaces import Box
from steepest.envs.environment import AbstractEnvironment


class PendulumState(NamedTuple):
    """Where the pendulum is and how fast; one array a field, because XLA then never gathers or scatters columns."""

    angle: Float[Array, ""]
    """From upright, counter-clockwise, in rad; `step` keeps it within ±π, where float32 is finest."""
    angular_velocity: Float[Array, ""]
    """In rad/s."""


class Pendulum(AbstractEnvironment[PendulumState]):
    r"""Pendulum-v1: apply a torque, too weak to lift the rod at once, so that it comes to stand upright.

    With the torque $u$ clipped to $\pm u_{\max}$, the angle $\theta$ from upright, wrapped to ±π, and time step $h$,

    $$r = -(\theta^2 + 0.1\,\dot\theta^2 + 0.001\,u^2), \qquad
      \dot\theta' = \operatorname{clip}\Bigl(\dot\theta + h\Bigl(\frac{3 g}{2 l} \sin\theta + \frac{3 u}{m l^2}\Bigr),\
      \pm\dot\theta_{\max}\Bigr), \qquad \theta' = \theta + h\,\dot\theta'.$$

    The reward is that of the state before the step. No episode terminates.

    **Reference:** Gymnasium's environment of the same name; for the task, Doya, *Reinforcement learning in continuous
    time and space*, 2000.
    """

    id: str = eqx.field(static=True, kw_only=True, default="Pendulum-v1")
    max_episode_steps: int | None = eqx.field(static=True, kw_only=True, default=200)
    render_fps: int = eqx.field(static=True, kw_only=True, default=20)

    gravity: float = 10.0
    """In m/s²."""
    mass: float = 1.0
    """Of the rod, in kg."""
    length: float = 1.0
    """Of the rod, in m."""
    time_step: float = 0.05
    """Between two actions, in s."""
    max_speed: float = 8.0
    """In rad/s."""
    max_torque: float = 2.0
    """In N m."""
    speed_cost: float = 0.1
    """Paid per squared angular velocity, in s²."""
    torque_cost: float = 0.001
    """Paid per squared torque, in 1/(N m)²."""
    initial_angle: float = math.pi
    """The first angle is uniform between minus and plus this, in rad."""
    initial_speed: float = 1.0
    """The first angular velocity is uniform between minus and plus this, in rad/s."""

    @property
    def observation_space(self) -> Box:
        """Cosine and sine of the angle, angular velocity."""
        high = np.array([1.0, 1.0, self.max_speed], np.float32)
        return Box(-high, high)

    @property
    def action_space(self) -> Box:
        """The torque, in N m."""
        return Box(-self.max_torque, self.max_torque, (1,))

    def initial(self, key: Key[Array, ""]) -> PendulumState:
        """At any angle, slowly turning."""
        angle, angular_velocity = jax.random.uniform(key, (2,), jnp.float32, minval=-1.0, maxval=1.0)
        return PendulumState(self.initial_angle * angle, self.initial_speed * angular_velocity)

    def observe(self, state: PendulumState) -> Float[Array, "3"]:
        """Cosine and sine of the angle, angular velocity."""
        return jnp.stack((jnp.cos(state.angle), jnp.sin(state.angle), state.angular_velocity))

    def step(
        self, key: Key[Array, ""], state: PendulumState, action: Float[Array, "1"]
    ) -> tuple[PendulumState, Float[Array, ""], Bool[Array, ""]]:
        """Turn for one time step. The dynamics are deterministic: `key` is not used."""
        angle, angular_velocity = state
        torque = jnp.clip(action[0], -self.max_torque, self.max_torque)
        cost = (
            angle * angle + self.speed_cost * angular_velocity * angular_velocity + self.torque_cost * torque * torque
        )
        gain_gravity = self.time_step * 3 * self.gravity / (2 * self.length)
        gain_torque = self.time_step * 3 / (self.mass * self.length * self.length)
        angular_velocity = angular_velocity + gain_gravity * jnp.sin(angle) + gain_torque * torque
        angular_velocity = jnp.clip(angular_velocity, -self.max_speed, self.max_speed)
        angle = angle + self.time_step * angular_velocity
        # Wrapped here, the angle needs no wrapping in the next step's cost, and a long episode loses no precision.
        angle = angle - 2 * math.pi * jnp.round(angle / (2 * math.pi))
        return PendulumState(angle, angular_velocity), -cost, jnp.zeros((), jnp.bool_)

    def draw(self, state: PendulumState, action: np.ndarray | None) -> UInt8[np.ndarray, "height width 3"]:
        from steepest.envs.drawings.pendulums import draw_pendulum

        torque = 0.0 if action is None else float(np.clip(action[0] / self.max_torque, -1, 1))
        return draw_pendulum(float(state.angle), torque, length=float(self.length))
