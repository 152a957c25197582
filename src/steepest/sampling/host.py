"""Sampling from environments that run on the host, outside any compiled program."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, UInt32

from steepest.core.errors import EnvironmentFault, InputError
from steepest.core.interfaces import AbstractActor
from steepest.core.spaces import zeros
from steepest.core.trajectory import Trajectory
from steepest.core.types import PyTree
from steepest.envs.adapters.vector import AbstractVectorEnvironment
from steepest.replay import check_memory

_SHORTEST, _LONGER = 64, 4
"""Rows of the shortest trajectory of whole episodes, and how many times as many the next longer one has."""


@runtime_checkable
class CompiledAct(Protocol):
    """A compiled function that draws the actions of step `index` of an evaluation."""

    def __call__(
        self, key: Key[Array, ""], index: np.int32, agent: PyTree, carry: PyTree, obs: PyTree
    ) -> tuple[PyTree, Array, PyTree]:
        """Actions as the environments take them, the log-probabilities of those drawn, and the carry."""
        ...


def compiled_act(actor: AbstractActor) -> CompiledAct:
    """One compiled function that draws the actions of any step of an evaluation."""

    def act(key, index, agent, carry, obs):
        action, log_prob, carry = actor.act(jax.random.fold_in(key, index), agent, carry, obs)
        return actor.squash(agent, obs, action), log_prob, carry

    return jax.jit(act)


class PreparedAct:
    """Draws as `compiled_act` does, at a smaller cost for each of the many calls that a trajectory takes.

    What all calls share is done once: the keys are folded together, and the agent is taken apart into its arrays,
    which JAX would otherwise do in Python at every call.
    """

    def __init__(self, actor: AbstractActor):
        self._source = actor
        self._kind: tuple[PyTree, PyTree] | None = None

    def prepare(self, agent: PyTree, key: Key[Array, ""], calls: int) -> None:
        """Make ready for so many calls; call i draws with `fold_in(key, i)`."""
        self._leaves, structure = jax.tree.flatten(agent)
        kind = structure, jax.random.key_impl(key)
        if kind != self._kind:  # the first time, and not again
            self._kind, self._act = kind, jax.jit(functools.partial(self._draw, *kind))
        self._keys = np.asarray(_folded(key, calls))

    def __call__(self, index: int, carry: PyTree, obs: PyTree) -> tuple[PyTree, PyTree, Float[Array, " N"], PyTree]:
        """The actions for `obs`, and as environments take them, in host memory; their log-probabilities; the carry."""
        action, taken, log_prob, carry = self._act(self._keys[index], self._leaves, carry, obs)
        action = on_host(action)
        return action, action if taken is None else on_host(taken), log_prob, carry

    def _draw(
        self,
        structure: PyTree,
        key_kind: PyTree,
        bits: UInt32[Array, " bits"],
        leaves: list[Array],
        carry: PyTree,
        obs: PyTree,
    ) -> tuple[PyTree, PyTree, Float[Array, " N"], PyTree]:
        agent = jax.tree.unflatten(structure, leaves)
        action, log_prob, carry = self._source.act(jax.random.wrap_key_data(bits, impl=key_kind), agent, carry, obs)
        taken = self._source.squash(agent, obs, action)
        return action, None if taken is action else taken, log_prob, carry  # nothing is copied out twice


@functools.partial(jax.jit, static_argnums=1)
def _folded(key: Key[Array, ""], count: int) -> UInt32[Array, "count bits"]:
    """The bits of `fold_in(key, 0)`, `fold_in(key, 1)`, …"""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count, dtype=jnp.int32))
    return jax.random.key_data(keys)


class HostStreams:
    """Groups of environments that play one episode after another, served in turn.

    While one group steps, the other is acted for: with environments that step in threads of their own, both are
    always busy, and because the turns are fixed the result does not depend on timing.

    **Arguments**

    - `groups`: of equally many environments each, with the same spaces.

    **A trajectory of whole episodes** has as many rows as the longest of them needs, rounded up, so that there are few
    lengths: 64, 256, 1024 and so on, up to the time limit. For each there is a program that learns from it.
    """

    def __init__(self, actor: AbstractActor, groups: Sequence[AbstractVectorEnvironment]):
        length = actor.rollout.length or groups[0].max_episode_steps
        if length is None:
            raise InputError(
                f"environment {groups[0].id} has no time limit, so its episodes need not end, and what acts here "
                f"plays whole episodes. Give it one (max_episode_steps), or choose ppo or a2c."
            )
        self._whole, self._spec = actor.rollout.whole_episodes, actor.spec
        self._act = PreparedAct(actor)
        self._groups = groups
        self._length = length
        self._obs: list[PyTree] = []
        self._first_carry = actor.initial_carry(actor.spec)
        self._carry: list[PyTree] = []
        self._remembers = bool(jax.tree.leaves(self._first_carry))
        edges = np.cumsum([0, *(group.num_envs for group in groups)]).tolist()
        self._columns = [slice(begin, end) for begin, end in itertools.pairwise(edges)]
        self._return, self._elapsed = np.zeros(edges[-1]), np.zeros(edges[-1], np.int64)

    def sample(
        self, agent: PyTree, key: Key[Array, ""], meanwhile: Callable[[], None] = lambda: None
    ) -> tuple[Trajectory, list[tuple[float, int]]]:
        """Sample a trajectory; returns it, in host memory, and the return and length of each episode that ended.

        **Arguments**

        - `key`: of the actions; those of group g at step t are drawn with `fold_in(key, t × groups + g)`.
        - `meanwhile`: called once, while the environments make their last step; the agent is not needed any more.
        """
        if self._whole or not self._obs:
            self._obs = [group.reset(np.ones(group.num_envs, int) if self._whole else None) for group in self._groups]
            self._carry = [self._carry_of(columns) for columns in self._columns]
            self._return[:], self._elapsed[:] = 0, 0
        length = min(_SHORTEST, self._length) if self._whole else self._length
        rows, time = self._blank(self._joined_carry(), length), 0
        active = np.ones(len(self._return), bool)
        count = len(self._groups)
        self._act.prepare(agent, key, length * count)
        for time in range(self._length):
            if time == length:
                length = min(_LONGER * length, self._length)
                self._check_memory(length)
                rows = rows.extended(length)
                self._act.prepare(agent, key, length * count)
            for index, group in enumerate(self._groups):
                if time > 0:
                    self._receive(rows, time - 1, index, active)
                obs, columns = self._obs[index], self._columns[index]
                action, taken, log_prob, self._carry[index] = self._act(time * count + index, self._carry[index], obs)
                group.send(taken)
                # The environments are stepping now: everything else is done while they do.
                _write(rows.obs, (time, columns), obs)
                _write(rows.action, (time, columns), action)
                rows.log_prob[time, columns] = np.asarray(log_prob)
            if self._whole and not active.any():
                break
        meanwhile()
        for index in range(count):
            self._receive(rows, time, index, active)
        return rows, self._finished(rows)

    def close(self) -> None:
        """Give back what the environments hold."""
        for group in self._groups:
            group.close()

    def _receive(self, rows: Trajectory, time: int, index: int, active: Bool[np.ndarray, " N"]) -> None:
        """Write down what the group's environments answered to the actions of step `time`."""
        columns, step = self._columns[index], self._groups[index].receive()
        _write(rows.next_obs, (time, columns), step.next_obs)
        rows.reward[time, columns] = step.reward
        rows.terminated[time, columns] = step.terminated
        rows.truncated[time, columns] = step.truncated
        if self._whole:
            rows.valid[time, columns] = step.valid & active[columns]
            active[columns] &= ~(step.valid & (step.terminated | step.truncated))
        else:
            rows.valid[time, columns] = step.valid
        self._obs[index] = step.obs
        if self._remembers:
            # After a row in which an environment reset itself, a new episode begins.
            ended = ~step.valid | step.terminated | step.truncated
            self._carry[index] = select_streams(ended, self._carry_of(columns), self._carry[index])

    def _carry_of(self, columns: slice) -> PyTree:
        """What the streams of one group carry at the start of an episode."""
        return jax.tree.map(lambda leaf: leaf[columns], self._first_carry)

    def _joined_carry(self) -> PyTree:
        """What all streams carry now."""
        return jax.tree.map(lambda *each: np.concatenate([np.asarray(one) for one in each]), *self._carry)

    def _finished(self, rows: Trajectory) -> list[tuple[float, int]]:
        """The return and length of each episode that ended; what the others have so far is kept for the next time."""
        reward = np.where(rows.valid, rows.reward, 0)
        returns = reward.cumsum(axis=0, dtype=np.float64) + self._return
        elapsed = rows.valid.cumsum(axis=0) + self._elapsed
        finished = []
        for time, stream in np.argwhere(rows.valid & (rows.terminated | rows.truncated)):
            finished.append((float(returns[time, stream]), int(elapsed[time, stream])))
            # What follows belongs to the next episode.
            returns[time:, stream] -= returns[time, stream]
            elapsed[time:, stream] -= elapsed[time, stream]
        self._return, self._elapsed = returns[-1], elapsed[-1]
        return finished

    def _check_memory(self, length: int) -> None:
        """**Raises** `EnvironmentFault` where episodes have become longer than memory is large."""
        try:
            check_memory(self._spec, length, field="max_episode_steps", transitions=len(self._return))
        except InputError as error:
            raise EnvironmentFault(
                f"{self._groups[0].id}: its episodes are longer than fit into memory: {error}"
            ) from None

    def _blank(self, carry: PyTree, length: int) -> Trajectory:
        env, shape = self._groups[0], (length, len(self._return))
        return Trajectory(
            obs=zeros(env.observation_space, *shape),
            action=zeros(env.action_space, *shape),
            next_obs=zeros(env.observation_space, *shape),
            reward=np.zeros(shape, np.float32),
            log_prob=np.zeros(shape, np.float32),
            terminated=np.zeros(shape, bool),
            truncated=np.zeros(shape, bool),
            valid=np.zeros(shape, bool),
            carry=carry,
        )


def on_host(tree: PyTree) -> PyTree:
    """The arrays of a tree in host memory."""
    return np.asarray(tree) if isinstance(tree, jax.Array) else jax.tree.map(np.asarray, tree)


def _write(rows: PyTree, where: tuple, new: PyTree) -> None:
    """Write into the arrays of a tree, in place."""
    if isinstance(rows, np.ndarray):  # nearly always: taking trees apart takes longer than writing
        rows[where] = new
        return
    for kept, each in zip(jax.tree.leaves(rows), jax.tree.leaves(new), strict=True):
        kept[where] = each


@jax.jit
def select_streams(choose: Bool[Array, " N"], one: PyTree, other: PyTree) -> PyTree:
    """Stream by stream, `one` where `choose` and `other` elsewhere."""
    return jax.tree.map(lambda a, b: jnp.where(choose.reshape(-1, *[1] * (a.ndim - 1)), a, b), one, other)
