"""Small environments whose right answers are known, for tests of whatever trains on them."""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steepest.core.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from steepest.envs.environment import AbstractEnvironment


class Corridor(AbstractEnvironment):
    """Walk along a line of `length` cells, left or right; the right end pays 1 and terminates."""

    id: ClassVar[str] = "Corridor"
    max_episode_steps: ClassVar[int | None] = 20
    length: int = eqx.field(static=True, default=5)

    @property
    def observation_space(self):
        return Discrete(self.length)

    @property
    def action_space(self):
        return Discrete(2)

    def initial(self, key):
        return jax.random.randint(key, (), 0, self.length - 1)

    def observe(self, state):
        return state

    def step(self, key, state, action):
        state = jnp.clip(state + 2 * action - 1, 0, self.length - 1)
        arrived = state == self.length - 1
        return state, jnp.where(arrived, 1.0, -0.01), arrived


class Target(NamedTuple):
    """What the action should be."""

    wanted: jax.Array


class Match(AbstractEnvironment):
    """Answer the observation: the reward is highest where the action equals a known function of it."""

    id: ClassVar[str] = "Match"
    max_episode_steps: ClassVar[int | None] = 4
    kind: str = eqx.field(static=True, default="box")

    @property
    def observation_space(self):
        return Box(-1.0, 1.0, (2,))

    @property
    def action_space(self):
        return {
            "box": Box(-2.0, 2.0, (2,)),
            "discrete": Discrete(2),
            "multi_discrete": MultiDiscrete((2, 2)),
            "multi_binary": MultiBinary(2),
        }[self.kind]

    def initial(self, key):
        return Target(jax.random.uniform(key, (2,), minval=-1.0, maxval=1.0))

    def observe(self, state):
        return state.wanted

    def step(self, key, state, action):
        if self.kind == "box":
            reward = -jnp.sum(jnp.square(action - state.wanted))
        else:
            wanted = (state.wanted > 0).astype(jnp.int32)
            given = jnp.atleast_1d(action)
            reward = jnp.mean((given == wanted[: len(given)]).astype(jnp.float32))
        return self.initial(key), reward, jnp.zeros((), bool)


class Spoilt(AbstractEnvironment):
    """Another environment, with a number added to its rewards. It is a leaf: one program serves 0 and NaN."""

    env: AbstractEnvironment
    added: float = 0.0

    @property
    def id(self):
        return self.env.id

    @property
    def max_episode_steps(self):
        return self.env.max_episode_steps

    @property
    def observation_space(self):
        return self.env.observation_space

    @property
    def action_space(self):
        return self.env.action_space

    def initial(self, key):
        return self.env.initial(key)

    def observe(self, state):
        return self.env.observe(state)

    def step(self, key, state, action):
        state, reward, terminated = self.env.step(key, state, action)
        return state, reward + self.added, terminated


class OneNumber(AbstractEnvironment):
    """What is seen is one number, and what is done one of two things."""

    @property
    def observation_space(self):
        return Box(-1.0, 1.0, (1,))

    @property
    def action_space(self):
        return Discrete(2)


class Ending(OneNumber):
    """Reward 1 in every step, whatever is done; each step is the last one with probability `chance`."""

    id: ClassVar[str] = "Ending"
    max_episode_steps: ClassVar[int | None] = None
    chance: float = 0.1

    def initial(self, key):
        return jnp.ones(1)

    def observe(self, state):
        return state

    def step(self, key, state, action):
        return state, jnp.ones(()), jax.random.bernoulli(key, self.chance)


class Chain(OneNumber):
    """Reward 1 in every step, until it ends after so many of them; a leaf, so that one program serves all lengths."""

    id: ClassVar[str] = "Chain"
    max_episode_steps: ClassVar[int | None] = 5
    steps: float = 1.0

    def initial(self, key):
        return jnp.zeros(())

    def observe(self, state):
        return jnp.where(state > 0, 1.0, -1.0)[None]

    def step(self, key, state, action):
        return state + 1, jnp.ones(()), state + 1 >= self.steps


class Probe(OneNumber):
    """One step, one observation, reward 1; `kind` makes it two steps, truncated, or broken."""

    id: ClassVar[str] = "Probe"
    max_episode_steps: ClassVar[int | None] = 5
    kind: str = eqx.field(static=True, default="one")

    def initial(self, key):
        return jnp.zeros(())

    def observe(self, state):
        return jnp.where(state > 0, 1.0, -1.0)[None] if self.kind != "nan observation" else state[None] * jnp.nan

    def step(self, key, state, action):
        state = state + 1
        reward = jnp.ones(()) * (jnp.nan if self.kind == "nan reward" else 1.0)
        ends = {"one": state >= 1, "two": state >= 2}.get(self.kind, jnp.zeros((), bool))
        return state, reward, ends


class Gate(NamedTuple):
    """Which of three gates is shut, and for how long they have been gone through."""

    shut: jax.Array
    time: jax.Array


class Gates(AbstractEnvironment):
    """Go through one of three gates, of which one is shut; a fourth never was a gate. To take either costs 100.

    After six of them there is nothing left to do, and nothing is allowed. `stuck_at` is a time at which nothing is
    allowed and yet something has to be done; a leaf, so that one program serves all.
    """

    id: ClassVar[str] = "Gates"
    max_episode_steps: ClassVar[int | None] = 8
    stuck_at: float = -1.0

    @property
    def observation_space(self):
        return Discrete(3)

    @property
    def action_space(self):
        return Discrete(4)

    def initial(self, key):
        return Gate(jax.random.randint(key, (), 0, 3, jnp.int32), jnp.zeros((), jnp.int32))

    def observe(self, state):
        return state.shut

    def mask(self, state):
        open_ones = (jnp.arange(4) != state.shut) & (jnp.arange(4) < 3)
        return open_ones & (state.time < 6) & ~((state.time.astype(jnp.float32) == self.stuck_at) & (state.shut == 1))

    def step(self, key, state, action):
        reward = jnp.where((action == state.shut) | (action == 3), -100.0, action.astype(jnp.float32))
        after = Gate(self.initial(key).shut, state.time + 1)
        return after, reward, after.time >= 6


PANEL = np.random.default_rng(1).normal(size=(2, 3, 2, 2, 2)).round(1)
"""What a setting of the panel pays: of each light in sight, gear, two switches and one more choice."""


class Panel(AbstractEnvironment):
    """Set gear, switches and lever of a panel at once, by the light that is on; every episode is one step."""

    id: ClassVar[str] = "Panel"
    max_episode_steps: ClassVar[int | None] = 1

    @property
    def observation_space(self):
        return Discrete(2)

    @property
    def action_space(self):
        return Dict({"gear": Discrete(3), "rest": Tuple((MultiBinary(2), MultiDiscrete((2,))))})

    def initial(self, key):
        return jax.random.randint(key, (), 0, 2, jnp.int32)

    def observe(self, state):
        return state

    def step(self, key, state, action):
        switches, lever = action["rest"]
        paid = jnp.asarray(PANEL, jnp.float32)[state, action["gear"], switches[0], switches[1], lever[0]]
        return state, paid, jnp.ones((), bool)
