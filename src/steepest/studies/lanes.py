"""Many trainings side by side in one program, which differ in their seeds and in numbers that are no part of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.types import PyTree
from steepest.training.compiled import CAPACITY, TrainingState, TrajectorySource, begin, run

Count = Int[Array, ""] | int


def stack(algorithms: Sequence[AbstractAlgorithm]) -> AbstractAlgorithm:
    """Algorithms as one whose numbers have a leading axis. **Raises** `ValueError` where they are several programs."""
    structures = {jax.tree.structure(each) for each in algorithms}
    if len(structures) > 1:
        raise ValueError(f"{len(algorithms)} algorithms are {len(structures)} programs")
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *algorithms)


@jax.jit
def _begin_all(algorithms: AbstractAlgorithm, env: TrajectorySource, seeds: Int[Array, " lanes"]) -> TrainingState:
    return jax.vmap(lambda algorithm, seed: begin(algorithm, env, jax.random.key(seed)))(algorithms, seeds)


@functools.partial(jax.jit, donate_argnames="states")
def _run_all(
    algorithms: AbstractAlgorithm, env: TrajectorySource, states: TrainingState, count: Count, total_steps: Count
) -> TrainingState:
    return jax.vmap(lambda algorithm, state: run(algorithm, env, state, count, total_steps)[0])(algorithms, states)


def train_lanes(
    algorithms: Sequence[AbstractAlgorithm],
    env: TrajectorySource,
    seeds: Sequence[int],
    *,
    total_steps: int,
    lanes: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[tuple[PyTree, bool]] | None:
    """Train each algorithm with its seed. **Returns** of each the agent, and whether all its numbers were finite.

    None where `stop`, which is asked between calls of the program, said yes.

    **Arguments**

    - `lanes`: compile for so many, and repeat the last one to fill them, so that the next call finds its program.
    """
    spare = [algorithms[-1]] * ((lanes or 0) - len(algorithms)), [seeds[-1]] * ((lanes or 0) - len(seeds))
    stacked = stack([*algorithms, *spare[0]])
    states = _begin_all(stacked, env, jnp.array([*seeds, *spare[1]]))
    while bool(jnp.any((states.steps < total_steps) & (states.fault < 0))):
        if stop():
            return None
        states = _run_all(stacked, env, states, CAPACITY, total_steps)
    each = [jax.tree.map(lambda leaf, lane=lane: leaf[lane], states) for lane in range(len(algorithms))]
    return [(state.agent, bool(state.fault < 0)) for state in each]
