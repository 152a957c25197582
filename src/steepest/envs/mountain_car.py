"""Rock a weak car out of a valley: MountainCar-v0."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt8

from steepest.core.spaces import Box, Discrete
from steepest.envs.environment import AbstractEnvironment


class MountainCarState(NamedTuple):
    """Where the car is and how fast; one array a field, because XLA then never gathers or scatters columns."""

    position: Float[Array, ""]
    """Along the horizontal; the valley's floor lies at −π/6."""
    velocity: Float[Array, ""]
    """Change of position per step."""


class MountainCar(AbstractEnvironment[MountainCarState]):
    r"""MountainCar-v0: push a car left (0), not at all (1) or right (2) until it is over the hill on the right.

    The road's height is $\sin 3x$, so that, in units of one step,

    $$v' = \operatorname{clip}(v + (a - 1)\, F - g \cos 3x,\ \pm v_{\max}), \qquad
      x' = \operatorname{clip}(x + v',\ x_{\min},\ x_{\max}),$$

    and a car that meets the wall at $x_{\min}$ stops there. Every step earns −1, the last one too. The episode
    terminates when the car is at the goal or beyond it and does not roll back.

    **Reference:** Moore, *Efficient memory-based learning for robot control*, 1990; constants of Sutton and Barto,
    *Reinforcement Learning*, 2nd edition, example 10.1, and of Gymnasium's environment of the same name.
    """

    id: str = eqx.field(static=True, kw_only=True, default="MountainCar-v0")
    max_episode_steps: int | None = eqx.field(static=True, kw_only=True, default=200)
    render_fps: int = eqx.field(static=True, kw_only=True, default=30)

    force: float = 0.001
    """Of the engine, in position per step²."""
    gravity: float = 0.0025
    """On the steepest slope, in position per step²."""
    min_position: float = -1.2
    """Of the wall on the left."""
    max_position: float = 0.6
    """Where the road ends on the right."""
    max_speed: float = 0.07
    """In position per step."""
    goal_position: float = 0.5
    """From here on the car has arrived."""
    goal_velocity: float = 0.0
    """The least velocity at the goal, in position per step."""
    initial_low: float = -0.6
    """The first position is uniform above this."""
    initial_high: float = -0.4
    """The first position is uniform below this."""

    @property
    def observation_space(self) -> Box:
        """Position and velocity."""
        return Box(
            np.array([self.min_position, -self.max_speed], np.float32),
            np.array([self.max_position, self.max_speed], np.float32),
        )

    @property
    def action_space(self) -> Discrete:
        """0 accelerates to the left, 1 lets the car roll, 2 accelerates to the right."""
        return Discrete(3)

    def initial(self, key: Key[Array, ""]) -> MountainCarState:
        """At rest near the valley's floor."""
        position = jax.random.uniform(key, (), jnp.float32, minval=self.initial_low, maxval=self.initial_high)
        return MountainCarState(position, jnp.zeros((), jnp.float32))

    def observe(self, state: MountainCarState) -> Float[Array, "2"]:
        """The state itself."""
        return jnp.stack(state)

    def step(
        self, key: Key[Array, ""], state: MountainCarState, action: Int[Array, ""]
    ) -> tuple[MountainCarState, Float[Array, ""], Bool[Array, ""]]:
        """Drive for one step. The dynamics are deterministic: `key` is not used."""
        throttle = (action - 1).astype(jnp.float32)
        velocity = state.velocity + self.force * throttle - self.gravity * jnp.cos(3 * state.position)
        velocity = jnp.clip(velocity, -self.max_speed, self.max_speed)
        position = jnp.clip(state.position + velocity, self.min_position, self.max_position)
        velocity = jnp.where(position <= self.min_position, jnp.maximum(velocity, 0.0), velocity)
        terminated = (position >= self.goal_position) & (velocity >= self.goal_velocity)
        return MountainCarState(position, velocity), jnp.full((), -1.0, jnp.float32), terminated

    def draw(self, state: MountainCarState, action: np.ndarray | None) -> UInt8[np.ndarray, "height width 3"]:
        from steepest.envs.drawings.roads import draw_road

        throttle = 0.0 if action is None else float(action) - 1
        ends = float(self.min_position), float(self.max_position)
        return draw_road(float(state.position), throttle, ends=ends, goal=float(self.goal_position))
