"""The replay buffer of off-policy algorithms: a ring of the newest transitions of every stream (C4)."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from steepest.core.errors import InputError
from steepest.core.spaces import Box, Leaf, Space, Spec, map_leaves, unstacked
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
    - `begins`: whether nothing before a row belongs to its episode; kept where frames are stacked only.
    - `frames`: how many frames every `Box` of an observation holds.

    Of stacked frames only the newest is kept, and drawing puts the stack together again: from the rows before, and the
    first frame of the episode in place of those that there never were. The oldest `frames` − 1 rows of a full ring are
    kept for that alone, and not drawn.

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
    begins: Bool[Array, " LN"] | None = None
    space: Space | None = eqx.field(static=True, default=None)
    frames: int = eqx.field(static=True, default=1)

    @classmethod
    def initial(cls, spec: Spec, capacity: int) -> "ReplayBuffer":
        """An empty ring for `capacity` transitions of all streams together."""
        frames = spec.frame_stack
        rows = (max(1, capacity // spec.num_envs) + frames - 1) * spec.num_envs
        kept = spec.observation if frames == 1 else unstacked(spec.observation)
        return cls(
            obs=_blank(kept, rows),
            action=_blank(spec.action, rows),
            next_obs=_blank(kept, rows),
            reward=jnp.zeros(rows, jnp.float32),
            log_prob=jnp.zeros(rows, jnp.float32),
            terminated=jnp.zeros(rows, bool),
            truncated=jnp.zeros(rows, bool),
            written=jnp.zeros(spec.num_envs, jnp.int32),
            begins=None if frames == 1 else jnp.zeros(rows, bool),
            space=None if frames == 1 else spec.observation,
            frames=frames,
        )

    @property
    def length(self) -> int:
        """L: the rows of each stream that can be drawn."""
        return self._slots - (self.frames - 1)

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
        slots = self._slots
        slot = (self.written[None, :] + count - 1) % slots
        # Past the end: what is written there is dropped.
        row = jnp.where(valid, slot * streams + jnp.arange(streams)[None, :], slots * streams).reshape(-1)

        def write(kept: PyTree, new: PyTree) -> PyTree:
            def one(kept: Array, new: Array) -> Array:
                rows = jnp.asarray(new, kept.dtype).reshape(-1, *kept.shape[1:])
                return kept.at[row].set(rows, mode="drop")

            return jax.tree.map(one, kept, new)

        ring = dataclasses.replace(
            self,
            obs=write(self.obs, self._newest_frame(trajectory.obs)),
            action=write(self.action, trajectory.action),
            next_obs=write(self.next_obs, self._newest_frame(trajectory.next_obs)),
            reward=write(self.reward, trajectory.reward),
            log_prob=write(self.log_prob, trajectory.log_prob),
            terminated=write(self.terminated, trajectory.terminated),
            truncated=write(self.truncated, trajectory.truncated),
            written=self.written + count[-1],
            begins=None if self.begins is None else write(self.begins, self._beginnings(trajectory)),
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
        if length < self.length or jnp.max(self.written) > self._slots:
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
            return (newest - age) % self._slots * self.written.shape[0] + stream

        first = last = row(age)
        reward = _at(self.reward, first)
        factor = jnp.broadcast_to(jnp.asarray(discount, reward.dtype), reward.shape)
        more = jnp.ones(reward.shape, bool)

        def one_more(later, gathered):
            reward, factor, last, more = gathered
            following = row(jnp.maximum(age - later, 1))
            ended = _at(self.terminated, last) | _at(self.truncated, last)
            more = more & ~ended & (age > later) & self._continues(last, following)
            reward = reward + jnp.where(more, factor * _at(self.reward, following), 0)
            factor = jnp.where(more, factor * discount, factor)
            return reward, factor, jnp.where(more, following, last), more

        gathered = reward, factor, last, more
        reward, factor, last, _ = jax.lax.fori_loop(1, steps, one_more, gathered, unroll=min(8, max(steps - 1, 1)))
        return Transitions(
            obs=self._observed(first),
            action=_at(self.action, first),
            next_obs=self._followed(last),
            reward=reward,
            log_prob=_at(self.log_prob, first),
            terminated=_at(self.terminated, last),
            discount=factor,
        )

    def _continues(self, last: Int[Array, " B"], following: Int[Array, " B"]) -> Bool[Array, " B"]:
        """Whether a row continues the one before it. After a resume on the host it does not."""
        if self.begins is not None:
            return ~_at(self.begins, following)
        return _same(_at(self.next_obs, last), _at(self.obs, following), axes=1)

    def _observed(self, row: Int[Array, " B"]) -> PyTree:
        """The observations of rows."""
        if self.begins is None:
            return _at(self.obs, row)
        frames = self._frames(row)
        return map_leaves(
            lambda leaf, kept: _at(kept, frames if isinstance(leaf, Box) else row), self._observation, self.obs
        )

    def _followed(self, row: Int[Array, " B"]) -> PyTree:
        """The true successors of rows."""
        if self.begins is None:
            return _at(self.next_obs, row)
        before = self._frames(row)[:, 1:]

        def one(leaf: Leaf, kept: Array, following: Array) -> Array:
            newest = _at(following, row)
            return jnp.concatenate([_at(kept, before), newest[:, None]], axis=1) if isinstance(leaf, Box) else newest

        return map_leaves(one, self._observation, self.obs, self.next_obs)

    def _frames(self, row: Int[Array, " B"]) -> Int[Array, "B K"]:
        """The rows that hold the frames of a row's stack, the oldest first: none from before its episode."""
        streams, rows = self.written.shape[0], [row]
        for _ in range(self.frames - 1):
            before = (rows[-1] - streams) % self.reward.shape[0]
            rows.append(jnp.where(_at(self.begins, rows[-1]), rows[-1], before))
        return jnp.stack(rows[::-1], axis=1)

    def _newest_frame(self, obs: PyTree) -> PyTree:
        """Of the stacks of a trajectory, [T, N, K, …], what is kept."""
        if self.begins is None:
            return obs
        return map_leaves(lambda leaf, each: each[:, :, -1] if isinstance(leaf, Box) else each, self._observation, obs)

    def _beginnings(self, trajectory: Trajectory) -> Bool[Array, "T N"]:
        """Whether the rows of a trajectory do not continue the valid row before, here or in the ring.

        Where rows were left out, or the environments were made anew, an episode begins as far as the ring knows.
        """
        steps, streams = trajectory.reward.shape
        stream = jnp.arange(streams, dtype=jnp.int32)
        time = jnp.where(trajectory.valid, jnp.arange(1, steps + 1, dtype=jnp.int32)[:, None], 0)
        before = jnp.concatenate([jnp.zeros_like(time[:1]), jax.lax.cummax(time)[:-1]])
        newest = self._row(stream, jnp.ones_like(self.written))

        def at_row_before(kept: PyTree, new: PyTree) -> PyTree:
            return jax.tree.map(lambda one, more: jnp.concatenate([one[None], more])[before, stream[None]], kept, new)

        ended = at_row_before(
            _at(self.terminated, newest) | _at(self.truncated, newest) | (self.written == 0),
            jnp.logical_or(trajectory.terminated, trajectory.truncated),
        )
        return ended | ~_same(at_row_before(self._followed(newest), trajectory.next_obs), trajectory.obs, axes=2)

    @property
    def _observation(self) -> Space:
        assert self.space is not None
        return self.space

    @property
    def _slots(self) -> int:
        """The rows of each stream."""
        return self.reward.shape[0] // self.written.shape[0]

    def _row(self, stream: Int[Array, " B"], age: Int[Array, " B"]) -> Int[Array, " B"]:
        """Where the newest row of a stream is, of age 1, and older ones."""
        return (self.written[stream] - age) % self._slots * self.written.shape[0] + stream

    def _filled(self) -> Int[Array, " N"]:
        return jnp.minimum(self.written, self.length)


def _at(kept: PyTree, index: Int[Array, "..."]) -> PyTree:
    return jax.tree.map(lambda each: each.at[index].get(mode="promise_in_bounds"), kept)


def _same(one: PyTree, other: PyTree, *, axes: int) -> Bool[Array, "..."]:
    """Whether two trees of arrays are equal, for each place in the first axes."""

    def same(one: Array, other: Array) -> Array:
        return jnp.all((one == other).reshape(*one.shape[:axes], -1), axis=-1)

    return functools.reduce(jnp.logical_and, jax.tree.leaves(jax.tree.map(same, one, other)))


def _blank(space: Space, rows: int) -> PyTree:
    return map_leaves(lambda leaf: jnp.zeros((rows, *leaf.shape), leaf.dtype), space)
