"""Rock a weak car out of a valley, sparing the engine: MountainCarContinuous-v0."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, UInt8

from steepest.core.spaces import Box
from steepest.envs.environment import AbstractEnvironment
from steepest.envs.mountain_car import MountainCarState


class MountainCarContinuous(AbstractEnvironment[MountainCarState]):
    r"""MountainCarContinuous-v0: choose how hard to push a car until it is over the hill on the right.

    The road's height is $\sin 3x$, so that, in units of one step and with the action $a$ clipped to ±1,

    $$v' = \operatorname{clip}(v + P a - g \cos 3x,\ \pm v_{\max}), \qquad
      x' = \operatorname{clip}(x + v',\ x_{\min},\ x_{\max}),$$

    and a car that meets the wall at $x_{\min}$ stops there. A step costs $0.1\,a^2$, where $a$ is the action before
    clipping, and arriving earns 100. The episode terminates when the car is at the goal or beyond it and does not roll
    back.

    **Reference:** Moore, *Efficient memory-based learning for robot control*, 1990; constants of Gymnasium's
    environment of the same name, whose goal is nearer and whose engine is stronger than `MountainCar`'s.
    """

    id: str = eqx.field(static=True, kw_only=True, default="MountainCarContinuous-v0")
    max_episode_steps: int | None = eqx.field(static=True, kw_only=True, default=999)
    render_fps: int = eqx.field(static=True, kw_only=True, default=30)

    power: float = 0.0015
    """Of the engine at full throttle, in position per step²."""
    gravity: float = 0.0025
    """On the steepest slope, in position per step²."""
    min_position: float = -1.2
    """Of the wall on the left."""
    max_position: float = 0.6
    """Where the road ends on the right."""
    max_speed: float = 0.07
    """In position per step."""
    goal_position: float = 0.45
    """From here on the car has arrived."""
    goal_velocity: float = 0.0
    """The least velocity at the goal, in position per step."""
    goal_reward: float = 100.0
    """Earned by arriving."""
    action_cost: float = 0.1
    """Paid per squared action."""
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
    def action_space(self) -> Box:
        """The throttle: −1 is full to the left, 1 full to the right."""
        return Box(-1.0, 1.0, (1,))

    def initial(self, key: Key[Array, ""]) -> MountainCarState:
        """At rest near the valley's floor."""
        position = jax.random.uniform(key, (), jnp.float32, minval=self.initial_low, maxval=self.initial_high)
        return MountainCarState(position, jnp.zeros((), jnp.float32))

    def observe(self, state: MountainCarState) -> Float[Array, "2"]:
        """The state itself."""
        return jnp.stack(state)

    def step(
        self, key: Key[Array, ""], state: MountainCarState, action: Float[Array, "1"]
    ) -> tuple[MountainCarState, Float[Array, ""], Bool[Array, ""]]:
        """Drive for one step. The dynamics are deterministic: `key` is not used."""
        throttle = action[0]
        velocity = state.velocity + self.power * jnp.clip(throttle, -1.0, 1.0)
        velocity = velocity - self.gravity * jnp.cos(3 * state.position)
        velocity = jnp.clip(velocity, -self.max_speed, self.max_speed)
        position = jnp.clip(state.position + velocity, self.min_position, self.max_position)
        velocity = jnp.where(position <= self.min_position, jnp.maximum(velocity, 0.0), velocity)
        terminated = (position >= self.goal_position) & (velocity >= self.goal_velocity)
        reward = self.goal_reward * terminated.astype(jnp.float32) - self.action_cost * throttle * throttle
        return MountainCarState(position, velocity), reward, terminated

    def draw(self, state: MountainCarState, action: np.ndarray | None) -> UInt8[np.ndarray, "height width 3"]:
        from steepest.envs.drawings.roads import draw_road

        throttle = 0.0 if action is None else float(np.clip(action[0], -1, 1))
        ends = float(self.min_position), float(self.max_position)
        return draw_road(float(state.position), throttle, ends=ends, goal=float(self.goal_position))
