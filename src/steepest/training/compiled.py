"""Training in which sampling and learning are one compiled program."""

import dataclasses
import functools
import time
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, Shaped

from steepest._platform import configure_platform
from steepest.core.errors import EnvironmentFault, NonFiniteError
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.types import PyTree
from steepest.envs.environment import AbstractEnvironment
from steepest.sampling.source import AbstractTrajectorySource, source_of
from steepest.training.driver import AbstractTraining, Row, Told, not_finite

TrajectorySource = AbstractEnvironment | AbstractTrajectorySource
"""Where trajectories come from: a compiled environment, or any other source."""
CAPACITY = 256
"""The most updates in one call of the compiled program: the length of its buffers of metrics."""


class TrainingState(eqx.Module):
    """Where one seed's training is; nothing else is needed to go on, bit for bit.

    - `streams`: where the source of trajectories is.
    - `key`: the seed's; update k uses `fold_in(key, k)`, so the past leaves no trace in it.
    - `update`, `steps`: made so far.
    - `fault`: index of the first quantity that was not finite, −1 while all is well. A faulty agent never learns again.
    """

    agent: PyTree
    streams: PyTree
    key: Key[Array, ""]
    update: Int[Array, ""]
    steps: Int[Array, ""]
    fault: Int[Array, ""]


def begin(algorithm: AbstractAlgorithm, env: TrajectorySource, key: Key[Array, ""]) -> TrainingState:
    """A fresh agent and fresh streams, from the key of a seed."""
    for_agent, for_streams, for_updates = seed_keys(key)
    zero = jnp.zeros((), jnp.int32)
    source = source_of(env)
    agent = source.prepare_agent(algorithm, algorithm.init(for_agent))
    return TrainingState(agent, source.start(for_streams, algorithm), for_updates, zero, zero, zero - 1)


_begin = jax.jit(begin)
"""One program for all algorithms that differ in their numbers only."""


def update_once(
    algorithm: AbstractAlgorithm, env: TrajectorySource, state: TrainingState
) -> tuple[TrainingState, dict[str, Array]]:
    """Sample and learn once. When something is not finite, the agent stays as it was and `fault` says what it was."""
    for_acting, for_learning = update_keys(state.key, state.update)
    streams, trajectory, metrics = source_of(env).sample(algorithm, state.agent, state.streams, for_acting)
    agent, info = algorithm.update(for_learning, state.agent, trajectory)
    fault = info.finite.first_bad
    agent = algorithm.keep_if_finite(agent, state.agent, fault < 0)
    steps = state.steps + jnp.sum(trajectory.valid, dtype=jnp.int32)
    metrics = {"steps": steps} | metrics | info.metrics
    return TrainingState(agent, streams, state.key, state.update + 1, steps, fault), metrics


def seed_keys(key: Key[Array, ""]) -> tuple[Key[Array, ""], Key[Array, ""], Key[Array, ""]]:
    """The keys of one seed: of its first agent, of its environments, and of its updates."""
    for_agent, for_streams, for_updates = jax.random.split(key, 3)
    return for_agent, for_streams, for_updates


def update_keys(key: Key[Array, ""], update: Int[Array, ""] | int) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """The keys of one update: for acting and for learning."""
    for_acting, for_learning = jax.random.split(jax.random.fold_in(key, update))
    return for_acting, for_learning


def train(
    algorithm: AbstractAlgorithm, env: TrajectorySource, key: Key[Array, ""], *, updates: int
) -> tuple[TrainingState, dict[str, Shaped[Array, " updates"]]]:
    """Train from a key, as one pure function: `jax.jit` it, `jax.vmap` it over keys and over hyper-parameters.

    **Arguments**

    - `algorithm`: composed for `env`; its array and float leaves are its hyper-parameters.
    - `env`: where trajectories come from; another source of them will do too.
    - `updates`: how many.

    **Returns** the last state, whose `agent` holds the policy, and the metrics of every update.

    **Example**

    >>> from steepest.algorithms import PPO
    >>> from steepest.core.spaces import Spec
    >>> from steepest.envs.cart_pole import CartPole
    >>> env = CartPole()
    >>> def final_return(rate, key):
    ...     ppo = PPO(num_envs=4, segment_length=32, epochs=1, learning_rate=rate)
    ...     spec = Spec(env.observation_space, env.action_space, num_envs=4, total_updates=2)
    ...     return train(ppo.build(spec), env, key, updates=2)[1]["return"]
    >>> rates, keys = jnp.array([1e-4, 1e-3, 1e-2]), jax.random.split(jax.random.key(0), 3)
    >>> jax.jit(jax.vmap(final_return))(rates, keys).shape
    (3, 2)
    """
    configure_platform()
    return jax.lax.scan(lambda state, _: update_once(algorithm, env, state), begin(algorithm, env, key), length=updates)


@functools.partial(jax.jit, static_argnames="rows", donate_argnames="state")
def run(
    algorithm: AbstractAlgorithm,
    env: TrajectorySource,
    state: TrainingState,
    count: Int[Array, ""] | int,
    total_steps: Int[Array, ""] | int,
    *,
    rows: int = CAPACITY,
) -> tuple[TrainingState, Told]:
    """Make up to `count` updates of one seed; once it has its steps, or is at fault, it rests.

    `count` is not part of the program, so one compilation serves every call, and it does not matter to the result
    where a run is cut into calls. Rows of metrics that no update filled hold `steps` 0.
    """
    once = functools.partial(update_once, algorithm, env)
    blank = {name: jnp.zeros((rows, *leaf.shape), leaf.dtype) for name, leaf in jax.eval_shape(once, state)[1].items()}

    def goes_on(loop) -> Array:
        index, state, _ = loop
        return (index < count) & (state.steps < total_steps) & (state.fault < 0)

    def body(loop):
        index, state, metrics = loop
        state, row = once(state)
        return index + 1, state, {name: metrics[name].at[index].set(row[name]) for name in metrics}

    _, state, metrics = jax.lax.while_loop(goes_on, body, (jnp.zeros((), jnp.int32), state, blank))
    return state, Told.of(metrics)


@functools.partial(jax.jit, donate_argnames="states")
def run_together(
    algorithm: AbstractAlgorithm,
    env: TrajectorySource,
    states: list[TrainingState],
    count: Int[Array, ""] | int,
    total_steps: Int[Array, ""] | int,
) -> tuple[list[TrainingState], list[Told]]:
    """`run` for several seeds at once, as an accelerator wants it."""
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    done = jax.vmap(lambda state: run(algorithm, env, state, count, total_steps))(stacked)
    each = [jax.tree.map(lambda leaf, column=column: leaf[column], done) for column in range(len(states))]
    return [state for state, _ in each], [metrics for _, metrics in each]


def fault_names(algorithm: AbstractAlgorithm, env: TrajectorySource, key: Key[Array, ""]) -> tuple[str, ...]:
    """The quantities that `TrainingState.fault` counts, without computing any of them."""

    def finite(key):
        state = begin(algorithm, env, key)
        _, trajectory, _ = source_of(env).sample(algorithm, state.agent, state.streams, key)
        return algorithm.update(key, state.agent, trajectory)[1].finite

    return jax.eval_shape(finite, key).names


class CompiledTraining(AbstractTraining):
    """Any number of seeds in one program."""

    def __init__(self, algorithm: AbstractAlgorithm, env: TrajectorySource, *, seeds: Sequence[int], total_steps: int):
        configure_platform()
        self.algorithm, self.env, self.seeds, self.total_steps = algorithm, env, tuple(seeds), total_steps
        self._start = functools.partial(_begin, algorithm, env)
        self._states: list[TrainingState] = [self._start(jax.random.key(seed)) for seed in self.seeds]
        self._updates_per_second = 0.0
        self._diverged: dict[int, NonFiniteError | EnvironmentFault] = {}

    def advance(self, seconds: float, until: int | None = None) -> list[Row]:
        before = [int(state.update) for state in self._states]
        count = int(np.clip(seconds * self._updates_per_second, 1, CAPACITY))
        start = time.monotonic()
        columns = self._run(count, self._end(until))
        tried = max(int(state.update) - begun for state, begun in zip(self._states, before, strict=True))
        if self._updates_per_second:
            self._updates_per_second = tried / (time.monotonic() - start)
        else:
            self._updates_per_second = 1.0  # the first call compiles, and so says nothing of speed
        good = [int(state.update) - int(state.fault >= 0) for state in self._states]
        made = [update - begun for update, begun in zip(good, before, strict=True)]
        rows = [
            {"seed": seed, "update": before[column] + index + 1}
            | {name: float(values[index]) for name, values in columns[column].items()}
            for index in range(max(made))
            for column, seed in enumerate(self.seeds)
            if index < made[column]
        ]
        self._check(rows)
        return rows

    def _run(self, count: int, end: int) -> list[dict[str, np.ndarray]]:
        """Make so many updates of every seed, as long as it has not made `end` steps; returns their metrics.

        On a CPU the seeds take turns: that is a fifth faster than side by side, a seed's result does not depend on the
        others in a single bit, and what an agent holds is never copied.
        """
        if jax.default_backend() != "cpu":
            self._states, metrics = run_together(self.algorithm, self.env, self._states, count, end)
            return [each.numbers() for each in metrics]
        columns = []
        for index, state in enumerate(self._states):
            self._states[index], metrics = run(self.algorithm, self.env, state, count, end)
            columns.append(metrics.numbers())
        return columns

    def _check(self, rows: list[Row]) -> None:
        for seed, state in zip(self.seeds, self._states, strict=True):
            if state.fault >= 0 and seed not in self._diverged:
                names = fault_names(self.algorithm, self.env, state.key)
                where = seed, int(state.update), int(state.steps), getattr(self.env, "id", "the environment")
                error = not_finite(names[int(state.fault)], *where)
                self._diverged[seed] = error
        if len(self._diverged) == len(self.seeds):
            error = next(iter(self._diverged.values()))
            error.rows = rows
            raise error

    @property
    def steps(self) -> int:
        going_on = [state for seed, state in self.states().items() if seed not in self._diverged]
        return min(int(state.steps) for state in going_on or self._states)

    @property
    def diverged(self) -> dict[int, NonFiniteError | EnvironmentFault]:
        return dict(self._diverged)

    def states(self) -> dict[int, PyTree]:
        return dict(zip(self.seeds, self._states, strict=True))

    def restore(self, states: dict[int, PyTree]) -> None:
        self._states, self._diverged = [self._mended(states[seed]) for seed in self.seeds], {}

    def _mended(self, state: TrainingState) -> TrainingState:
        """The state; one that was at fault may try again, with new episodes, as those it had may hold what is wrong."""
        if state.fault < 0:
            return state
        fresh = self._start(jax.random.fold_in(state.key, state.update))
        return dataclasses.replace(state, streams=fresh.streams, fault=fresh.fault)

    def agents(self) -> dict[int, PyTree]:
        return {seed: state.agent for seed, state in self.states().items()}
