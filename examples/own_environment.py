"""An environment of your own, written in JAX: three pure functions.

    python examples/own_environment.py

Keep a room at 20 °C with a heater whose power is the action. Resetting, time limits and batching are the sampler's.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

import steepest


class Thermostat(steepest.AbstractEnvironment[Float[Array, ""]]):
    """A room that loses heat to a cold and changing outside.

    - `leak`: the share of the difference to the outside that is lost in a step. As a float it may be traced, so that
      `jax.vmap` can train in many rooms at once.
    """

    id: str = eqx.field(static=True, kw_only=True, default="Thermostat")
    max_episode_steps: int | None = eqx.field(static=True, kw_only=True, default=100)
    leak: float = 0.1

    @property
    def observation_space(self) -> steepest.Box:
        """The difference to 20 °C, in tens of degrees."""
        return steepest.Box(-50.0, 50.0, (1,))

    @property
    def action_space(self) -> steepest.Box:
        """The power of the heater, in degrees a step."""
        return steepest.Box(0.0, 5.0, (1,))

    def initial(self, key: Key[Array, ""]) -> Float[Array, ""]:
        """Anything from freezing to hot."""
        return jax.random.uniform(key, minval=-5.0, maxval=35.0)

    def observe(self, state: Float[Array, ""]) -> Float[Array, "1"]:
        """What a thermometer says."""
        return (state - 20.0)[None] / 10.0

    def step(
        self, key: Key[Array, ""], state: Float[Array, ""], action: Float[Array, "1"]
    ) -> tuple[Float[Array, ""], Float[Array, ""], Bool[Array, ""]]:
        """Heat, and lose heat. It never terminates; the time limit truncates."""
        outside = 5.0 + jax.random.normal(key)
        state = state + action[0] - self.leak * (state - outside)
        return state, -jnp.abs(state - 20.0), jnp.zeros((), bool)


def main(total_steps: int = 60_000) -> None:
    """Train on it, and read off what the heater does in a cold and in a warm room."""
    result = steepest.train("ppo", Thermostat(), total_steps=total_steps, scale_rewards=True, evaluation_episodes=20)
    assert result.evaluation is not None
    print(f"mean return of 20 episodes: {result.evaluation['iqm']:.0f}")
    for temperature in (10.0, 20.0, 25.0):
        power = np.asarray(result.policy([(temperature - 20) / 10])).item()
        print(f"at {temperature:.0f} °C it heats by {power:.1f}")


if __name__ == "__main__":
    main()
