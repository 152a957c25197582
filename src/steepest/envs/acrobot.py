"""Swing a two-link pendulum up by the torque at its elbow: Acrobot-v1."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt8

from steepest.core.spaces import Box, Discrete
from steepest.envs.environment import AbstractEnvironment


class AcrobotState(NamedTuple):
    """Where the links are and how fast; one array a field, because XLA then never gathers or scatters columns."""

    angle_1: Float[Array, ""]
    """Of the upper link from hanging straight down, in rad, within ±π."""
    angle_2: Float[Array, ""]
    """Of the lower link from the upper one's direction, in rad, within ±π."""
    velocity_1: Float[Array, ""]
    """Of `angle_1`, in rad/s."""
    velocity_2: Float[Array, ""]
    """Of `angle_2`, in rad/s."""


class Acrobot(AbstractEnvironment[AcrobotState]):
    r"""Acrobot-v1: torque the elbow of a hanging arm by −1, 0 or 1 N m until its tip is one link above the shoulder.

    With link lengths $l_i$, centres of mass at $c_i$, masses $m_i$, moments $I_i$, and the torque $u$ on joint 2 only,

    $$\begin{pmatrix} d_1 & d_2 \\ d_2 & d_3 \end{pmatrix}
      \begin{pmatrix} \ddot\theta_1 \\ \ddot\theta_2 \end{pmatrix} =
      \begin{pmatrix} k (\dot\theta_2^2 + 2 \dot\theta_1 \dot\theta_2) \sin\theta_2
        - (m_1 c_1 + m_2 l_1) g \sin\theta_1 - m_2 c_2 g \sin(\theta_1 + \theta_2) \\
      u - k \dot\theta_1^2 \sin\theta_2 - m_2 c_2 g \sin(\theta_1 + \theta_2) \end{pmatrix},$$

    $k = m_2 l_1 c_2$, $d_3 = m_2 c_2^2 + I_2$, $d_2 = d_3 + k \cos\theta_2$,
    $d_1 = m_1 c_1^2 + I_1 + m_2 l_1^2 + d_3 + 2 k \cos\theta_2$, integrated by one fourth-order Runge–Kutta step, after
    which the angles are wrapped to ±π and the velocities clipped. A step earns −1, but 0 if it terminates the episode,
    which it does when $-\cos\theta_1 - \cos(\theta_1 + \theta_2) > 1$.

    **Reference:** Sutton and Barto, *Reinforcement Learning*, 1st edition, section 11.3 (the "book" dynamics, which are
    complete, where Sutton, *Generalization in reinforcement learning*, 1996, prints one term less); constants of
    Gymnasium's environment of the same name.
    """

    id: str = eqx.field(static=True, kw_only=True, default="Acrobot-v1")
    max_episode_steps: int | None = eqx.field(static=True, kw_only=True, default=500)
    render_fps: int = eqx.field(static=True, kw_only=True, default=15)

    gravity: float = 9.8
    """In m/s²."""
    length_1: float = 1.0
    """Of the upper link, in m."""
    mass_1: float = 1.0
    """Of the upper link, in kg."""
    mass_2: float = 1.0
    """Of the lower link, in kg."""
    centre_1: float = 0.5
    """From the shoulder to the upper link's centre of mass, in m."""
    centre_2: float = 0.5
    """From the elbow to the lower link's centre of mass, in m."""
    inertia_1: float = 1.0
    """Of the upper link about its centre of mass, in kg m²."""
    inertia_2: float = 1.0
    """Of the lower link about its centre of mass, in kg m²."""
    torque: float = 1.0
    """That actions 0 (backwards) and 2 (forwards) apply to the elbow, in N m."""
    time_step: float = 0.2
    """Between two actions, in s."""
    max_velocity_1: float = 4 * math.pi
    """In rad/s."""
    max_velocity_2: float = 9 * math.pi
    """In rad/s."""
    goal_height: float = 1.0
    """That the tip must exceed, above the shoulder, in link lengths."""
    initial_bound: float = 0.1
    """Every component of the first state is uniform between minus and plus this, in its own unit."""

    @property
    def observation_space(self) -> Box:
        """Cosine and sine of angle 1, cosine and sine of angle 2, velocities 1 and 2."""
        high = np.array([1.0, 1.0, 1.0, 1.0, self.max_velocity_1, self.max_velocity_2], np.float32)
        return Box(-high, high)

    @property
    def action_space(self) -> Discrete:
        """0 torques backwards, 1 not at all, 2 forwards."""
        return Discrete(3)

    def initial(self, key: Key[Array, ""]) -> AcrobotState:
        """Hanging, nearly at rest."""
        return AcrobotState(
            *jax.random.uniform(key, (4,), jnp.float32, minval=-self.initial_bound, maxval=self.initial_bound)
        )

    def observe(self, state: AcrobotState) -> Float[Array, "6"]:
        """Cosine and sine of angle 1, cosine and sine of angle 2, velocities 1 and 2."""
        return jnp.stack(
            (
                *_cosine_and_sine(state.angle_1),
                *_cosine_and_sine(state.angle_2),
                state.velocity_1,
                state.velocity_2,
            )
        )

    def step(
        self, key: Key[Array, ""], state: AcrobotState, action: Int[Array, ""]
    ) -> tuple[AcrobotState, Float[Array, ""], Bool[Array, ""]]:
        """Torque the elbow for one time step. The dynamics are deterministic: `key` is not used."""
        torque = self.torque * (action - 1).astype(jnp.float32)
        half = self.time_step / 2
        slope_1 = self._derivative(state, torque)
        slope_2 = self._derivative(_moved(state, half, slope_1), torque)
        slope_3 = self._derivative(_moved(state, half, slope_2), torque)
        slope_4 = self._derivative(_moved(state, self.time_step, slope_3), torque)
        slope = jax.tree.map(lambda a, b, c, d: (a + 2 * (b + c) + d) / 6, slope_1, slope_2, slope_3, slope_4)
        angle_1, angle_2, velocity_1, velocity_2 = _moved(state, self.time_step, slope)

        successor = AcrobotState(
            _wrapped(angle_1),
            _wrapped(angle_2),
            jnp.clip(velocity_1, -self.max_velocity_1, self.max_velocity_1),
            jnp.clip(velocity_2, -self.max_velocity_2, self.max_velocity_2),
        )
        cosine_1, sine_1 = _cosine_and_sine(successor.angle_1)
        cosine_2, sine_2 = _cosine_and_sine(successor.angle_2)
        terminated = -cosine_1 - (cosine_1 * cosine_2 - sine_1 * sine_2) > self.goal_height
        return successor, terminated.astype(jnp.float32) - 1.0, terminated

    def _derivative(self, state: AcrobotState, torque: Float[Array, ""]) -> AcrobotState:
        """The rate of change of `state`: both rows of the equation of motion, solved by Cramer's rule."""
        angle_1, angle_2, velocity_1, velocity_2 = state
        cosine_1, sine_1 = _cosine_and_sine(angle_1)
        cosine_2, sine_2 = _cosine_and_sine(angle_2)

        coupling = self.mass_2 * self.length_1 * self.centre_2
        inertia_22 = self.mass_2 * self.centre_2**2 + self.inertia_2
        straight = self.mass_1 * self.centre_1**2 + self.inertia_1 + self.mass_2 * self.length_1**2 + inertia_22
        inertia_12 = inertia_22 + coupling * cosine_2
        inertia_11 = straight + 2 * coupling * cosine_2

        weight_1 = (self.mass_1 * self.centre_1 + self.mass_2 * self.length_1) * self.gravity * sine_1
        weight_2 = self.mass_2 * self.centre_2 * self.gravity * (sine_1 * cosine_2 + cosine_1 * sine_2)
        force_1 = coupling * velocity_2 * (velocity_2 + 2 * velocity_1) * sine_2 - weight_1 - weight_2
        force_2 = torque - coupling * velocity_1 * velocity_1 * sine_2 - weight_2

        # Two divisions, though one reciprocal would do: XLA's CPU compiler keeps a quotient, but may compute a product
        # anew for each of its users, which takes a quarter longer.
        determinant = inertia_11 * inertia_22 - inertia_12 * inertia_12
        return AcrobotState(
            velocity_1,
            velocity_2,
            (inertia_22 * force_1 - inertia_12 * force_2) / determinant,
            (inertia_11 * force_2 - inertia_12 * force_1) / determinant,
        )

    def draw(self, state: AcrobotState, action: np.ndarray | None) -> UInt8[np.ndarray, "height width 3"]:
        from steepest.envs.drawings.pendulums import draw_acrobot

        torque = 0.0 if action is None else float(action) - 1
        lengths = float(self.length_1), 1.0  # of the second link the dynamics know only where its mass is
        goal = float(self.goal_height)
        return draw_acrobot(float(state.angle_1), float(state.angle_2), torque, lengths=lengths, goal=goal)


def _moved(state: AcrobotState, time: float | Float[Array, ""], slope: AcrobotState) -> AcrobotState:
    """`state` after moving along `slope` for `time`."""
    return jax.tree.map(lambda value, rate: value + time * rate, state, slope)


def _wrapped(angle: Float[Array, ""]) -> Float[Array, ""]:
    """The same direction, within ±π, where float32 is finest."""
    return angle - 2 * math.pi * jnp.round(angle * (0.5 / math.pi))


def _cosine_and_sine(angle: Float[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Cosine and sine of an angle of a few turns at most, within ±1 and to a few units of float32's last place.

    A step needs them five times for each link, and with `jnp.cos` and `jnp.sin`, which serve angles of any size, it
    takes four times as long. Here both come from the Taylor series of the half angle, which lies within ±π/2. Dividing
    by the squared norm keeps rounding from carrying either beyond 1, and XLA's CPU compiler from computing them anew
    for each user.
    """
    half = 0.5 * _wrapped(angle)
    square = half * half
    cosine, sine = jnp.ones_like(half), jnp.ones_like(half)
    for n in range(12, 0, -2):
        cosine = 1 - cosine * square * (1 / ((n - 1) * n))
        sine = 1 - sine * square * (1 / (n * (n + 1)))
    sine = sine * half
    norm = cosine * cosine + sine * sine
    return (cosine * cosine - sine * sine) / norm, 2 * sine * cosine / norm
