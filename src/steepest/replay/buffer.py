"""The replay buffer of off-policy algorithms: a ring of the newest transitions of every stream (C4)."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from steepest.core.errors import InputError
from steepest.core.spaces import Space, Spec, map_leaves
from steepest.core.trajectory import Trajectory
from steepest.core.types import PyTree, TreeOf


class Transitions(eqx.Module):
    r"""A batch of B transitions drawn from a ring, of m steps from $s_t$ to $s_{t+m}$, $1 \le m \le n$.

    - `reward`: $\sum_{k<m}\gamma^k r_{t+k}$.
    - `next_obs`: $s_{t+m}$, the true successor; never the first observation of another episode.
    - `terminated`: whether $s_{t+m}$ is absorbing.
    - `discount`: $\gamma^m$, the factor of its value.
    - `log_prob`: $\log\beta(a_t|s_t)$ of the behaviour policy β.
    """

    obs: TreeOf[Shaped[Array, "B ..."]]
    action: TreeOf[Shaped[Array, "B ..."]]
    next_obs: TreeOf[Shaped[Array, "B ..."]]
    reward: Float[Array, " B"]
    log_prob: Float[Array, " B"]
    terminated: Bool[Array, " B"]
    discount: Float[Array, " B"]


class ReplayBuffer(eqx.Module):
    """A ring buffer of the newest L transitions of each of N streams.

    Every stream has a ring of its own, so that the successor of a transition is in the next row. Rows that are not
    `valid` are not written. Nothing is copied where the caller donates the ring.

    - `written`: the number of transitions that each stream has written so far.

    Row $i N + n$ is slot i of stream n. The arrays have one axis for all rows: with two, XLA would change their layout,
    and so copy them, between writing and drawing.

    **Example**

    >>> from steepest.core.spaces import Box, Discrete
    >>> ring = ReplayBuffer.initial(Spec(Box(-1, 1, (3,)), Discrete(2), num_envs=2, total_updates=1), capacity=10)
    >>> ring.obs.shape, int(ring.size)
    ((10, 3), 0)
    """

    obs: TreeOf[Shaped[Array, "LN ..."]]
    action: TreeOf[Shaped[Array, "LN ..."]]
    next_obs: TreeOf[Shaped[Array, "LN ..."]]
    reward: Float[Array, " LN"]
    log_prob: Float[Array, " LN"]
    terminated: Bool[Array, " LN"]
    truncated: Bool[Array, " LN"]
    written: Int[Array, " N"]

    @classmethod
    def initial(cls, spec: Spec, capacity: int) -> "ReplayBuffer":
        """An empty ring for `capacity` transitions of all streams together."""
        rows = max(1, capacity // spec.num_envs) * spec.num_envs
        return cls(
            obs=_blank(spec.observation, rows),
            action=_blank(spec.action, rows),
            next_obs=_blank(spec.observation, rows),
            reward=jnp.zeros(rows, jnp.float32),
            log_prob=jnp.zeros(rows, jnp.float32),
            terminated=jnp.zeros(rows, bool),
            truncated=jnp.zeros(rows, bool),
            written=jnp.zeros(spec.num_envs, jnp.int32),
        )

    @property
    def length(self) -> int:
        """L: the rows of each stream."""
        return self.reward.shape[0] // self.written.shape[0]

    @property
    def size(self) -> Int[Array, ""]:
        """The number of transitions that can be drawn."""
        return jnp.sum(self._filled())

    def add(self, trajectory: Trajectory, wanted: Bool[Array, ""] | bool = True) -> "ReplayBuffer":
        """Write the valid rows of a trajectory, of no more than L steps; none of them unless `wanted`."""
        length, streams = self.length, self.written.shape[0]
        steps = trajectory.reward.shape[0]
        if steps > length:
            raise ValueError(f"{steps} steps do not fit into a ring of {length} for each stream.")
        valid = jnp.asarray(trajectory.valid) & wanted
        count = jnp.cumsum(valid, axis=0, dtype=jnp.int32)
        slot = (self.written[None, :] + count - 1) % length
        # Past the end: what is written there is dropped.
        row = jnp.where(valid, slot * streams + jnp.arange(streams)[None, :], length * streams).reshape(-1)

        def write(kept: PyTree, new: PyTree) -> PyTree:
            def one(kept: Array, new: Array) -> Array:
                rows = jnp.asarray(new, kept.dtype).reshape(-1, *kept.shape[1:])
                return kept.at[row].set(rows, mode="drop")

            return jax.tree.map(one, kept, new)

        ring = ReplayBuffer(
            obs=write(self.obs, trajectory.obs),
            action=write(self.action, trajectory.action),
            next_obs=write(self.next_obs, trajectory.next_obs),
            reward=write(self.reward, trajectory.reward),
            log_prob=write(self.log_prob, trajectory.log_prob),
            terminated=write(self.terminated, trajectory.terminated),
            truncated=write(self.truncated, trajectory.truncated),
            written=self.written + count[-1],
        )
        # Otherwise XLA writes once more for every reader, each time into a copy.
        return jax.lax.optimization_barrier(ring)

    def grown(self, length: int) -> "ReplayBuffer":
        """The same transitions, with room for `length` of each stream.

        **Raises** `InputError` where it would shrink, or newer transitions have taken the place of older ones already.
        """
        streams = self.written.shape[0]
        if length == self.length:
            return self
        if length < self.length or jnp.max(self.written) > self.length:
            raise InputError(
                f"the replay buffer holds {self.length * streams} transitions and cannot become one of "
                f"{length * streams}. Train anew with more steps."
            )
        more = (length - self.length) * streams
        return jax.tree.map(
            lambda kept: kept if kept is self.written else jnp.pad(kept, [(0, more)] + [(0, 0)] * (kept.ndim - 1)), self
        )

    def draw(
        self, key: Key[Array, ""], count: int, *, steps: int = 1, discount: float | Float[Array, ""] = 1.0
    ) -> Transitions:
        """Draw transitions uniformly with replacement, from a ring that is not empty.

        **Arguments**

        - `steps`: n; rewards are summed over n steps, or to the end of the episode, or to the newest row.
        - `discount`: γ, per step.
        """
        filled = self._filled()
        edges = jnp.cumsum(filled)
        rank = jax.random.randint(key, (count,), 0, edges[-1], jnp.int32)
        stream = jnp.searchsorted(edges, rank, side="right").astype(jnp.int32)
        age = edges[stream] - rank  # 1 for the newest row of its stream
        return self._gathered(stream, age, steps, discount)

    def _gathered(
        self, stream: Int[Array, " B"], age: Int[Array, " B"], steps: int, discount: float | Float[Array, ""]
    ) -> Transitions:
        newest = self.written[stream]

        def row(age):
            return (newest - age) % self.length * self.written.shape[0] + stream

        def at(kept: PyTree, index) -> PyTree:
            return jax.tree.map(lambda each: each.at[index].get(mode="promise_in_bounds"), kept)

        first = last = row(age)
        reward = at(self.reward, first)
        factor = jnp.broadcast_to(jnp.asarray(discount, reward.dtype), reward.shape)
        more = jnp.ones(reward.shape, bool)

        def one_more(later, gathered):
            reward, factor, last, more = gathered
            following = row(jnp.maximum(age - later, 1))
            ended = at(self.terminated, last) | at(self.truncated, last)
            more = more & ~ended & (age > later) & self._continues(at, last, following)
            reward = reward + jnp.where(more, factor * at(self.reward, following), 0)
            factor = jnp.where(more, factor * discount, factor)
            return reward, factor, jnp.where(more, following, last), more

        gathered = reward, factor, last, more
        reward, factor, last, _ = jax.lax.fori_loop(1, steps, one_more, gathered, unroll=min(8, max(steps - 1, 1)))
        return Transitions(
            obs=at(self.obs, first),
            action=at(self.action, first),
            next_obs=at(self.next_obs, last),
            reward=reward,
            log_prob=at(self.log_prob, first),
            terminated=at(self.terminated, last),
            discount=factor,
        )

    def _continues(self, at, last: Int[Array, " B"], following: Int[Array, " B"]) -> Bool[Array, " B"]:
        """Whether a row continues the one before it. After a resume on the host it does not."""

        def same(one: Array, other: Array) -> Array:
            return jnp.all((one == other).reshape(one.shape[0], -1), axis=1)

        found = jax.tree.map(same, at(self.next_obs, last), at(self.obs, following))
        return functools.reduce(jnp.logical_and, jax.tree.leaves(found))

    def _filled(self) -> Int[Array, " N"]:
        return jnp.minimum(self.written, self.length)


def _blank(space: Space, rows: int) -> PyTree:
    return map_leaves(lambda leaf: jnp.zeros((rows, *leaf.shape), leaf.dtype), space)
