"""Training with asynchronous workers: each computes gradients on its own copy of the parameters (A7)."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from steepest._platform import configure_platform
from steepest.algorithms.bodies.actor_critic import ActorCritic, Evaluation
from steepest.algorithms.bodies.agent import Agent
from steepest.algorithms.bodies.asynchronous import copy_of, gradients
from steepest.core.errors import EndsTraining, EnvironmentFault
from steepest.core.moments import RewardScaler
from steepest.core.problem import SampledProblem
from steepest.core.spaces import map_leaves
from steepest.core.trajectory import Trajectory
from steepest.core.types import AnyArray, PyTree
from steepest.envs.adapters.vector import AbstractVectorEnvironment
from steepest.envs.environment import AbstractEnvironment
from steepest.sampling import compiled
from steepest.sampling.host import HostStreams
from steepest.training.cluster import Cluster, Died
from steepest.training.compiled import seed_keys, update_keys
from steepest.training.driver import OneSeedTraining, Row, Told, not_finite
from steepest.training.host import HostState, begin

Leaves = list[np.ndarray]
"""A tree as it travels: its arrays in order. Both sides know the structure, for both composed the same algorithm."""

Environments = AbstractEnvironment | Callable[[int], Sequence[AbstractVectorEnvironment]]
"""A compiled environment, or what makes groups of environments from a seed."""

Opening = Callable[[], tuple[ActorCritic, Environments]]
"""How a worker comes by its algorithm and its environments; it is called in the worker's process."""

_WARMING_UP = 2**31 - 1
"""In place of the update in the key of the segment that is not sent: no run makes so many."""

_DEATHS = 3
"""So many workers in a row may die before they have answered once."""

_PATIENCE, _PATIENCE_OF_A_STEP = 600.0, 10.0
"""Seconds in which a worker must answer: to open and to compile, and for each step of its segment."""


@dataclasses.dataclass(frozen=True)
class Segment:
    """What a worker sends: the gradients of one segment, and what happened in it.

    - `evaluation`: the leaves of an `Evaluation`, with gradients in place of rows.
    - `kl`: of the policy of the worker's last copy to that of this one, on states of the segment, in nats.
    - `steps`: environment steps.
    - `episodes`, `total_return`, `total_length`: of the episodes that ended.
    """

    evaluation: Leaves
    kl: float
    steps: int
    episodes: float
    total_return: float
    total_length: float


class Worker:
    """Samples segments from environments of its own, with the parameters that come with each question.

    **Arguments**

    - `opening`: called at the first question, since what it raises then can be told.
    - `seed`: of the run.
    - `index`: which of the run's workers it is.
    - `birth`: updates that were made when it was started. So one that replaces another begins other episodes.
    """

    def __init__(self, opening: Opening, seed: int, index: int, birth: int):
        configure_platform()
        jax.config.update("jax_platforms", "cpu")  # workers of one machine cannot share an accelerator
        self._opening, self._index, self._birth, self._seed = opening, index, birth, seed
        self._policy: PyTree = None

    def answer(self, update: int, leaves: Leaves) -> Segment | None:
        """One segment, sampled with a copy of the agent as it was after so many updates.

        The first answer is None: compiling takes so long that the copy is no longer of use. The next will be quick.
        """
        if self._policy is None:
            self._open()
            self._segment(_WARMING_UP, leaves)
            return None
        return self._segment(update, leaves)

    def _segment(self, update: int, leaves: Leaves) -> Segment:
        copy: Agent = jax.tree.unflatten(self._structure, leaves)
        if isinstance(copy.rewards, RewardScaler):  # the streams are the worker's own, the moments everybody's
            copy = eqx.tree_at(lambda each: each.rewards.streams, copy, self._reward_streams)
        before = copy.policy if self._policy is None else self._policy
        trajectory, episodes = self._sample(copy, self._key(np.int32(update)))
        evaluation, kl = self._gradients(copy, before, trajectory)
        self._policy = copy.policy
        if evaluation.rewards is not None:
            self._reward_streams = evaluation.rewards.streams
        sent, kl = jax.device_get((jax.tree.leaves(evaluation), kl))
        return Segment(sent, float(kl), int(np.sum(trajectory.valid)), *episodes)

    def _open(self) -> None:
        algorithm, environments = self._opening()
        _, for_streams, for_updates = seed_keys(jax.random.key(self._seed))
        self._structure = jax.tree.structure(_copy_shapes(algorithm))
        self._reward_streams = jnp.zeros(algorithm.spec.num_envs, jnp.float32)
        self._key = jax.jit(lambda update: acting_key(for_updates, update, self._index))
        self._gradients = jax.jit(functools.partial(_gradients, algorithm))
        if isinstance(environments, AbstractEnvironment):
            key = streams_key(for_streams, self._index, self._birth)
            self._sample = _compiled_sampling(algorithm, environments, key)
        else:
            seed = np.random.SeedSequence([self._seed, self._birth, self._index]).generate_state(1)[0]
            self._sample = _host_sampling(algorithm, environments(int(seed)))


def streams_key(key: Key[Array, ""], index: int, birth: int) -> Key[Array, ""]:
    """The key of the environments of worker `index`, if it was started after `birth` updates."""
    return jax.random.fold_in(jax.random.fold_in(key, birth), index)


def acting_key(key: Key[Array, ""], update: Array | int, index: int) -> Key[Array, ""]:
    """The key of the actions of worker `index` on the copy that has made so many updates.

    A worker that gets the same copy again, after a death or on a resume, draws them again. The gradient of the first
    time was lost, so nothing is counted twice.
    """
    return jax.random.fold_in(update_keys(key, update)[0], index)


def _gradients(algorithm: ActorCritic, copy: Agent, before: PyTree, trajectory: Trajectory) -> tuple[Evaluation, Array]:
    evaluation, some = gradients(algorithm, copy, trajectory)
    assert isinstance(some, SampledProblem)
    moved = SampledProblem(some.objective, some.batch, before(some.batch.obs))
    return evaluation, moved.kl(copy.policy)


def _compiled_sampling(algorithm: ActorCritic, env: AbstractEnvironment, key: Key[Array, ""]) -> Callable:
    sample = jax.jit(lambda agent, streams, key: compiled.sample(algorithm, agent, env, streams, key))
    streams = jax.jit(lambda key: compiled.start(algorithm, env, key))(key)

    def once(agent: Agent, key: Key[Array, ""]):
        nonlocal streams
        streams, trajectory, episodes = sample(agent, streams, key)
        told = jax.device_get((episodes.count, episodes.total_return, episodes.total_length))
        return trajectory, [float(each) for each in told]

    return once


def _host_sampling(algorithm: ActorCritic, groups: Sequence[AbstractVectorEnvironment]) -> Callable:
    streams = HostStreams(algorithm, groups)

    def once(agent: Agent, key: Key[Array, ""]):
        trajectory, ended = streams.sample(agent, key)
        return trajectory, [float(len(ended)), sum(each for each, _ in ended), float(sum(each for _, each in ended))]

    return once


def _copy_shapes(algorithm: ActorCritic) -> Agent:
    return jax.eval_shape(lambda key: copy_of(algorithm.init(key)), jax.random.key(0))


def _evaluation_shapes(algorithm: ActorCritic) -> Evaluation:
    """What `gradients` returns, as shapes."""
    spec, length = algorithm.spec, algorithm.rollout.length or 1

    def blank(dtype: np.dtype | type, shape: tuple[int, ...] = ()) -> Array:
        return jnp.zeros((length, spec.num_envs, *shape), dtype)

    def shaped(copy: Agent) -> Evaluation:
        obs, action = (
            map_leaves(lambda leaf: blank(leaf.dtype, leaf.shape), space) for space in (spec.observation, spec.action)
        )
        number, flag = blank(jnp.float32), blank(bool)
        carry = algorithm.initial_carry(spec)
        trajectory = Trajectory(obs, action, obs, number, number, flag, flag, flag, carry)
        return gradients(algorithm, copy, trajectory)[0]

    return jax.eval_shape(shaped, _copy_shapes(algorithm))


class AsynchronousTraining(OneSeedTraining):
    """One seed, whose parameters are here and whose environments are with workers on Ray.

    A gradient is applied when it arrives, to parameters that may have moved since they were copied. Its staleness is
    how many times. A worker that dies is replaced; so is one that does not answer any more, or whose environment
    raises though it has sampled segments before.

    **Arguments**

    - `opening`: how a worker comes by its algorithm, the same as `algorithm`, and its environments.
    - `workers`: how many.
    - `address`: of a Ray cluster; see `Cluster`.
    - `notice`: called with a line for each worker that was replaced.
    """

    def __init__(
        self,
        algorithm: ActorCritic,
        opening: Opening,
        *,
        workers: int,
        seed: int,
        total_steps: int,
        address: str | None = None,
        notice: Callable[[str], None],
    ):
        configure_platform()
        self.algorithm = self._shared = algorithm
        self.seeds, self.total_steps = (seed,), total_steps
        self._opening, self._workers, self._address, self._notice = opening, workers, address, notice
        self._state = jax.jit(functools.partial(begin, algorithm))(jax.random.key(seed))
        self._structure = jax.tree.structure(_evaluation_shapes(algorithm))
        self._learn = jax.jit(self._learn_if_finite)
        self._cluster: Cluster | None = None
        self._asked: dict[object, tuple[int, int]] = {}
        self._proven: set[object] = set()
        self._deaths = 0
        self._patience = _PATIENCE + _PATIENCE_OF_A_STEP * (algorithm.rollout.length or 1)

    def advance(self, seconds: float, until: int | None = None) -> list[Row]:
        if self._cluster is None:
            self._copy = jax.device_get(jax.tree.leaves(copy_of(self._state.agent)))
            self._cluster = Cluster(self._address, self._workers)
            for index in range(self._workers):
                self._start(index)
        rows, start, end = [], time.monotonic(), self._end(until)
        try:
            while not rows or not (self.steps >= end or time.monotonic() - start > seconds):
                rows.append(self._once(self._cluster))
        except EndsTraining as error:
            error.rows = rows
            raise
        return rows

    def _start(self, index: int) -> None:
        """A worker, and its first question."""
        assert self._cluster is not None
        worker = self._cluster.start(Worker, self._opening, self.seeds[0], index, int(self._state.update))
        self._ask(worker, index)

    def _ask(self, worker: object, index: int) -> None:
        assert self._cluster is not None
        update = int(self._state.update)
        self._asked[worker] = index, update
        self._cluster.ask(worker, update, self._copy)

    def _arrival(self, cluster: Cluster) -> tuple[object, int, int, Segment]:
        """The next worker that has a segment, its index, and the update of its copy; the dead are replaced."""
        while True:
            worker, answer = cluster.next_answer(self._patience)
            index, copied = self._asked.pop(worker)
            if isinstance(answer, Segment):
                self._deaths = 0
                self._proven.add(worker)
                return worker, index, copied, answer
            if isinstance(answer, EnvironmentFault):
                if worker not in self._proven:
                    raise answer
                cluster.end(worker)
            if isinstance(answer, Died | EnvironmentFault):
                self._proven.discard(worker)
                self._replace(index, answer)
            else:
                self._ask(worker, index)

    def _once(self, cluster: Cluster) -> Row:
        """Apply the next gradient that arrives, and give its worker the newest parameters."""
        worker, index, copied, segment = self._arrival(cluster)
        state, update = self._state, int(self._state.update)
        steps = int(state.steps) + segment.steps
        agent, copy, metrics, fault = self._learn(
            update_keys(state.key, state.update)[1], state.agent, segment.evaluation
        )
        self._state = HostState(agent, state.key, state.update + 1, jnp.asarray(steps, jnp.int32))
        self._copy, fault = jax.device_get((copy, fault))
        if fault >= 0:
            raise not_finite(self._finite_names[int(fault)], self.seeds[0], update, steps)
        self._ask(worker, index)
        ended = segment.episodes or float("nan")
        return {
            "seed": self.seeds[0],
            "update": update + 1,
            "steps": steps,
            "episodes": int(segment.episodes),
            "return": segment.total_return / ended,
            "length": segment.total_length / ended,
            "staleness": update - copied,
            "kl": segment.kl,
        } | {name: float(value) for name, value in metrics.numbers().items()}

    def _replace(self, index: int, death: Died | EnvironmentFault) -> None:
        self._deaths += 1
        if self._deaths > _DEATHS:
            raise EnvironmentFault(
                f"{self._deaths} workers in a row died before they had sampled anything; the environment may end its "
                f"process, or something is not installed where they run. The last one: {death}"
            )
        happened = "died" if isinstance(death, Died) else "failed"
        self._notice(f"worker {index} {happened} and is replaced ({death})")
        self._start(index)

    def _learn_if_finite(self, key: Key[Array, ""], agent: Agent, evaluation: Sequence[AnyArray]):
        after, info = self._shared.improve(key, agent, jax.tree.unflatten(self._structure, evaluation))
        fault = info.finite.first_bad
        after = self._shared.keep_if_finite(after, agent, fault < 0)
        self._finite_names = info.finite.names
        return after, jax.tree.leaves(copy_of(after)), Told.of(info.metrics), fault

    def close(self) -> None:
        if self._cluster is not None:
            self._cluster.close()
