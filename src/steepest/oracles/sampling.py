"""The oracles' problems as environments, so that sampled estimates can be compared with exact answers."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from steepest.core.spaces import Box, Discrete
from steepest.core.types import AnyArray
from steepest.core.validation import check_number
from steepest.envs.environment import AbstractEnvironment


class TabularState(NamedTuple):
    """The state of a tabular environment: the number of the MDP state, and the time."""

    cell: Int[Array, ""]
    """The number of the state."""
    time: Int[Array, ""]
    """Steps since the episode began."""


class TabularEnvironment(AbstractEnvironment[TabularState]):
    """A tabular MDP as an environment. The observation is the number of the state.

    A successor that is absorbing is `terminated`, and so is the last step before a horizon. The reward is its mean
    given state and action.

    - `successor`, `level`: the possible successors, and their cumulative probabilities, [S, A, B] for at most B
      successors. The level of the last one is 2, so that rounding misses none.
    - `first`, `first_level`: the same for first states, [F].
    """

    successor: Int[Array, "S A B"]
    level: Float[Array, "S A B"]
    first: Int[Array, " F"]
    first_level: Float[Array, " F"]
    reward: Float[Array, "S A"]
    absorbing: Bool[Array, " S"]
    horizon: int | None = eqx.field(static=True)
    # A table has no name or time limit that all tables share, so these two belong to the instance.
    id: str = eqx.field(static=True)
    max_episode_steps: int | None = eqx.field(static=True)

    def __init__(
        self,
        transition: Float[np.ndarray, "S A S"],
        reward: Float[np.ndarray, "S A"],
        initial: Float[np.ndarray, " S"],
        absorbing: Bool[np.ndarray, " S"],
        *,
        horizon: int | None = None,
        max_episode_steps: int | None = None,
        id: str = "tabular",  # noqa: A002
    ):
        self.successor, self.level = _levels(transition)
        self.first, self.first_level = _levels(initial)
        self.reward = jnp.asarray(reward, jnp.float32)
        self.absorbing = jnp.asarray(absorbing)
        self.horizon = horizon
        self.id = id  # pyright: ignore[reportIncompatibleVariableOverride]
        self.max_episode_steps = time_limit(  # pyright: ignore[reportIncompatibleVariableOverride]
            max_episode_steps, horizon
        )

    @property
    def observation_space(self) -> Discrete:
        """The number of the state."""
        return Discrete(self.reward.shape[0])

    @property
    def action_space(self) -> Discrete:
        """The number of the action."""
        return Discrete(self.reward.shape[1])

    def initial(self, key: Key[Array, ""]) -> TabularState:
        """Draw from the initial distribution."""
        return TabularState(_draw(key, self.first, self.first_level), jnp.zeros((), jnp.int32))

    def observe(self, state: TabularState) -> Int[Array, ""]:
        """The number of the state."""
        return state.cell

    def step(
        self, key: Key[Array, ""], state: TabularState, action: Int[Array, ""]
    ) -> tuple[TabularState, Float[Array, ""], Bool[Array, ""]]:
        """Draw a successor."""
        cell = _draw(key, self.successor[state.cell, action], self.level[state.cell, action])
        time = state.time + 1
        over = self.absorbing[cell] if self.horizon is None else self.absorbing[cell] | (time >= self.horizon)
        return TabularState(cell, time), self.reward[state.cell, action], over


class MaskedTabularEnvironment(TabularEnvironment):
    """A tabular MDP as an environment that says which actions are allowed.

    - `allowed`: True for each, [S, A].
    """

    allowed: Bool[Array, "S A"]

    def __init__(self, *tables: AnyArray, allowed: Bool[AnyArray, "S A"], **options: int | None):
        super().__init__(*tables, **options)
        self.allowed = jnp.asarray(allowed)

    def mask(self, state: TabularState) -> Bool[Array, " A"]:
        """Which actions are allowed in the state."""
        return self.allowed[state.cell]


class PartiallyObservedState(NamedTuple):
    """The state of a partially observed environment: that of the process behind it, and what is seen of it."""

    hidden: TabularState
    """The state of the process."""
    seen: Int[Array, ""]
    """The number of the observation that was drawn."""


class PartiallyObservedEnvironment(AbstractEnvironment[PartiallyObservedState]):
    """A tabular environment of which an observation is seen in place of the state.

    - `process`: the environment behind it.
    - `sight`, `sight_level`: the possible observations of each state, and their cumulative probabilities, [S, B].
    """

    process: TabularEnvironment
    sight: Int[Array, "S B"]
    sight_level: Float[Array, "S B"]
    id: str = eqx.field(static=True)
    max_episode_steps: int | None = eqx.field(static=True)
    _observations: int = eqx.field(static=True)

    def __init__(self, process: TabularEnvironment, observation: Float[np.ndarray, "S O"], max_episode_steps: int):
        self.process = process
        self.sight, self.sight_level = _levels(observation)
        self._observations = observation.shape[1]
        self.id = "partially observed"  # pyright: ignore[reportIncompatibleVariableOverride]
        self.max_episode_steps = max_episode_steps  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def observation_space(self) -> Discrete:
        """The number of the observation."""
        return Discrete(self._observations)

    @property
    def action_space(self) -> Discrete:
        """The number of the action."""
        return self.process.action_space

    def initial(self, key: Key[Array, ""]) -> PartiallyObservedState:
        """Draw a state, and an observation of it."""
        for_state, for_sight = jax.random.split(key)
        return self._see(for_sight, self.process.initial(for_state))

    def observe(self, state: PartiallyObservedState) -> Int[Array, ""]:
        """The number of the observation."""
        return state.seen

    def step(
        self, key: Key[Array, ""], state: PartiallyObservedState, action: Int[Array, ""]
    ) -> tuple[PartiallyObservedState, Float[Array, ""], Bool[Array, ""]]:
        """Draw a successor, and an observation of it."""
        for_state, for_sight = jax.random.split(key)
        hidden, reward, over = self.process.step(for_state, state.hidden, action)
        return self._see(for_sight, hidden), reward, over

    def _see(self, key: Key[Array, ""], hidden: TabularState) -> PartiallyObservedState:
        return PartiallyObservedState(hidden, _draw(key, self.sight[hidden.cell], self.sight_level[hidden.cell]))


def time_limit(max_episode_steps: int | None, horizon: int | None) -> int | None:
    """The time limit of the sampler: the horizon, where there is one."""
    if max_episode_steps is not None:
        remedy = "Leave it out for none." if horizon is None else "Leave it out: the horizon ends episodes."
        check_number("max_episode_steps", max_episode_steps, at_least=horizon or 1, whole=True, remedy=remedy)
    return max_episode_steps if horizon is None else horizon


def _levels(probabilities: Float[np.ndarray, "*batch S"]) -> tuple[Int[Array, "*batch B"], Float[Array, "*batch B"]]:
    """The possible outcomes and their cumulative probabilities, for `_draw`."""
    most = int((probabilities > 0).sum(axis=-1).max())
    outcome = np.argsort(-probabilities, axis=-1, kind="stable")[..., :most]
    probability = np.take_along_axis(probabilities, outcome, axis=-1)
    is_last = np.arange(most) >= (probability > 0).sum(axis=-1, keepdims=True) - 1
    level = np.where(is_last, 2.0, probability.cumsum(axis=-1))
    return jnp.asarray(outcome, jnp.int32), jnp.asarray(level, jnp.float32)


def _draw(key: Key[Array, ""], outcome: Int[Array, " B"], level: Float[Array, " B"]) -> Int[Array, ""]:
    uniform = jax.random.uniform(key, (), jnp.float32)
    return outcome[jnp.argmax(level > uniform)]


class LinearQuadraticState(NamedTuple):
    """The state of the linear-quadratic environment: s, and the time."""

    position: Float[Array, ""]
    """s, in its own unit."""
    time: Int[Array, ""]
    """Steps since the episode began."""


class LinearQuadraticEnvironment(AbstractEnvironment[LinearQuadraticState]):
    """The linear-quadratic problem as an environment; see `LinearQuadratic`.

    Episodes terminate at the horizon only.
    """

    initial_mean: float
    initial_std: float
    process_std: float
    horizon: int | None = eqx.field(static=True)
    max_episode_steps: int | None = eqx.field(static=True)  # pyright: ignore[reportIncompatibleVariableOverride]
    id: str = eqx.field(static=True, default="linear-quadratic")

    @property
    def observation_space(self) -> Box:
        """The state."""
        return Box(-np.inf, np.inf, (1,))

    @property
    def action_space(self) -> Box:
        """The number added to the state."""
        return Box(-np.inf, np.inf, (1,))

    def initial(self, key: Key[Array, ""]) -> LinearQuadraticState:
        """Draw the first state."""
        position = self.initial_mean + self.initial_std * jax.random.normal(key, (), jnp.float32)
        return LinearQuadraticState(position, jnp.zeros((), jnp.int32))

    def observe(self, state: LinearQuadraticState) -> Float[Array, "1"]:
        """The state itself."""
        return state.position[None]

    def step(
        self, key: Key[Array, ""], state: LinearQuadraticState, action: Float[Array, "1"]
    ) -> tuple[LinearQuadraticState, Float[Array, ""], Bool[Array, ""]]:
        """Add the action, and noise."""
        noise = self.process_std * jax.random.normal(key, (), jnp.float32)
        successor = LinearQuadraticState(state.position + action[0] + noise, state.time + 1)
        over = jnp.zeros((), bool) if self.horizon is None else successor.time >= self.horizon
        return successor, -(state.position**2) - action[0] ** 2, over
