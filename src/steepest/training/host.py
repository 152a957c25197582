"""Training with environments on the host: a plain loop around one compiled act and one compiled update."""

import dataclasses
import time
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from steepest._platform import configure_platform
from steepest.core.errors import EndsTraining
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.trajectory import Trajectory
from steepest.core.types import PyTree
from steepest.envs.adapters.vector import AbstractVectorEnvironment
from steepest.sampling.host import HostStreams
from steepest.training.compiled import seed_keys, update_keys
from steepest.training.driver import OneSeedTraining, Row, Told, not_finite


class HostState(eqx.Module):
    """Where a seed's training is, except for the environments, which begin new episodes on a resume."""

    agent: PyTree
    key: Key[Array, ""]
    update: Int[Array, ""]
    steps: Int[Array, ""]


def begin(algorithm: AbstractAlgorithm, key: Key[Array, ""]) -> HostState:
    """A fresh agent, from the key of a seed."""
    for_agent, _, for_updates = seed_keys(key)
    zero = jnp.zeros((), jnp.int32)
    return HostState(algorithm.init(for_agent), for_updates, zero, zero)


@dataclasses.dataclass(frozen=True)
class _Collected:
    """A trajectory that was not learnt from yet, and the episodes that ended in it."""

    trajectory: Trajectory
    episodes: list[tuple[float, int]]

    @property
    def steps(self) -> int:
        return int(np.sum(self.trajectory.valid))


class HostTraining(OneSeedTraining):
    """One seed, on environments that other libraries run.

    **Arguments**

    - `groups`: of environments, served in turn; see `HostStreams`.
    - `overlap`: learn from the last trajectory while the environments make the last step of the next one, where the
      algorithm's feed allows it. What was collected but not learnt from is in no state, and not counted in its steps.
    """

    def __init__(
        self,
        algorithm: AbstractAlgorithm,
        groups: Sequence[AbstractVectorEnvironment],
        *,
        seed: int,
        total_steps: int,
        overlap: bool = True,
    ):
        configure_platform()
        self.algorithm, self.seeds, self.total_steps = algorithm, (seed,), total_steps
        self._overlap = overlap
        self._state = jax.jit(lambda key: begin(algorithm, key))(jax.random.key(seed))
        self._streams = HostStreams(algorithm, groups)
        self._update = jax.jit(self._update_if_finite, donate_argnums=1)
        self._keys = jax.jit(update_keys)
        self._collected: list[_Collected] = []

    def advance(self, seconds: float, until: int | None = None) -> list[Row]:
        rows, start, end = [], time.monotonic(), self._end(until)
        try:
            while not rows or not (self.steps >= end or time.monotonic() - start > seconds):
                rows.extend(self._once())
        except EndsTraining as error:
            error.rows = rows
            raise
        return rows

    def _update_if_finite(self, key, agent, trajectory):
        after, info = self.algorithm.update(key, agent, trajectory)
        fault = info.finite.first_bad
        after = self.algorithm.keep_if_finite(after, agent, fault < 0)
        self._finite_names = info.finite.names
        return after, Told.of(info.metrics), fault

    def _once(self) -> list[Row]:
        """Collect and learn once; where the two overlap, from what was collected the time before."""
        rows: list[Row] = []

        def learn() -> None:
            if self._collected:
                rows.append(self._learn(self._collected.pop()))

        ahead = sum(each.steps for each in self._collected)
        if self.steps + ahead < self.total_steps:
            for_acting, _ = self._keys(self._state.key, self._state.update + len(self._collected))
            trajectory, episodes = self._streams.sample(self._state.agent, for_acting, learn)
            self._collected.append(_Collected(trajectory, episodes))
            if self.algorithm.rollout.overlaps and self._overlap:
                return rows
        learn()
        return rows

    def _learn(self, collected: "_Collected") -> Row:
        state, update = self._state, int(self._state.update)
        _, for_learning = self._keys(state.key, state.update)
        trajectory, episodes = collected.trajectory, collected.episodes
        steps = int(state.steps) + collected.steps
        agent, metrics, fault = self._update(for_learning, state.agent, trajectory)
        self._state = HostState(agent, state.key, state.update + 1, jnp.asarray(steps, jnp.int32))
        if fault >= 0:
            raise not_finite(self._finite_names[int(fault)], self.seeds[0], update, steps)
        returns, lengths = zip(*episodes, strict=True) if episodes else ((), ())
        return {
            "seed": self.seeds[0],
            "update": update + 1,
            "steps": steps,
            "episodes": len(episodes),
            "return": float(np.mean(returns)) if returns else float("nan"),
            "length": float(np.mean(lengths)) if lengths else float("nan"),
        } | {name: float(value) for name, value in metrics.numbers().items()}

    def restore(self, states: dict[int, PyTree]) -> None:
        super().restore(states)
        self._collected = []

    def close(self) -> None:
        self._streams.close()
