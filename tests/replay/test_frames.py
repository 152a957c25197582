"""A ring that keeps every frame once, against one that keeps whole stacks: what is drawn must be the same."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.core.spaces import Box, Dict, Discrete, Spec, stacked
from steepest.core.trajectory import Trajectory
from steepest.replay import ReplayBuffer
from steepest.replay.memory import transition_bytes

STREAMS = 3
FRAME = Dict({"seen": Box(0, 255, (2, 3), dtype=np.uint8), "speed": Box(-1, 1, (2,)), "way": Discrete(4)})


def spec_of(frames, *, whole=False):
    space = stacked(FRAME, frames)
    return Spec(space, Discrete(2), STREAMS, 1, frame_stack=1 if whole else frames)


class Episodes:
    """Streams of random episodes whose observations are stacked as environments do it.

    Some are short, some end by a limit, and after some of them a row comes in which the environment reset itself. Every
    frame is of one number, and the numbers are few, so that neighbouring frames and episodes may look alike.
    """

    def __init__(self, frames, seed, many=256):
        self.random, self.frames, self.many = np.random.default_rng(seed), frames, many
        self.kept = [self.begun() for _ in range(STREAMS)]
        self.rests = np.zeros(STREAMS, bool)

    def frame(self):
        number = self.random.integers(self.many)
        speed = np.full(2, number / self.many, np.float32)
        return {"seen": np.full((2, 3), number, np.uint8), "speed": speed, "way": np.int32(self.random.integers(4))}

    def begun(self):
        first = self.frame()
        return {name: x if name == "way" else np.repeat(x[None], self.frames, axis=0) for name, x in first.items()}

    def pushed(self, kept):
        new = self.frame()
        return {name: x if name == "way" else np.concatenate([kept[name][1:], x[None]]) for name, x in new.items()}

    def rows(self, steps):
        table = []
        for _ in range(steps):
            row = []
            for stream in range(STREAMS):
                obs, resting = self.kept[stream], self.rests[stream]
                after = self.pushed(obs)
                ended, cut = self.random.random() < 0.2, self.random.random() < 0.5
                ended = ended and not resting
                self.rests[stream] = ended and self.random.random() < 0.5
                row.append((obs, after, ended and not cut, ended and cut, not resting))
                self.kept[stream] = self.begun() if ended or resting else after
            table.append(row)
        obs, next_obs, terminated, truncated, valid = (
            jax.tree.map(lambda *each: np.stack(each), *[jax.tree.map(lambda *x: np.stack(x), *r) for r in part])
            for part in ([[cell[index] for cell in row] for row in table] for index in range(5))
        )
        number = self.random.normal(size=(steps, STREAMS)).astype(np.float32)
        action = self.random.integers(2, size=(steps, STREAMS)).astype(np.int32)
        rows = Trajectory(obs, action, next_obs, number, -number, terminated, truncated, valid)
        return jax.tree.map(jnp.asarray, rows)


add = jax.jit(ReplayBuffer.add)
draw = jax.jit(ReplayBuffer.draw, static_argnames=("count", "steps"))


def check_same(ring, oracle, *, steps):
    drawn = [draw(each, jax.random.key(1), count=200, steps=steps, discount=0.9) for each in (ring, oracle)]
    for one, other in zip(*map(jax.tree.leaves, drawn), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("frames", [2, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_drawn_stacks_are_those_that_were_seen(frames, seed):
    """As the ring fills, and three times around; over ends, limits and rests; for one step and for several."""
    capacity, episodes = 11 * STREAMS + 1, Episodes(frames, seed)
    ring, oracle = (ReplayBuffer.initial(spec_of(frames, whole=whole), capacity) for whole in (False, True))
    assert ring.length == oracle.length == 11
    for index in range(14):
        rows = episodes.rows(3)
        ring, oracle = add(ring, rows), add(oracle, rows)
        check_same(ring, oracle, steps=1)
        if index % 3 == 0:
            check_same(ring, oracle, steps=3)
    assert int(ring.written.min()) > 2 * 11


def test_frames_that_look_alike_belong_to_their_own_episodes():
    ring, oracle = (ReplayBuffer.initial(spec_of(3, whole=whole), 30) for whole in (False, True))
    episodes = Episodes(3, 5, many=2)
    for _ in range(8):
        rows = episodes.rows(4)
        ring, oracle = add(ring, rows), add(oracle, rows)
    check_same(ring, oracle, steps=1)


def test_an_episode_begins_where_rows_were_left_out():
    """Samples that are not finite are not written, and after a resume environments begin anew without an end."""
    ring, episodes = ReplayBuffer.initial(spec_of(3), 30), Episodes(3, 7)
    ring = add(ring, episodes.rows(3))
    ring = add(ring, episodes.rows(2), jnp.asarray(False))
    ring = add(ring, dataclasses.replace(episodes.rows(1), valid=jnp.ones((1, STREAMS), bool)))
    assert ring.begins.reshape(-1, STREAMS)[np.asarray(ring.written) - 1, np.arange(STREAMS)].all()
    grown = ring.grown(14)
    check_same(dataclasses.replace(ring), grown, steps=2)
    other = Episodes(3, 8)
    ring = add(ring, other.rows(1))
    assert ring.begins.reshape(-1, STREAMS)[np.asarray(ring.written) - 1, np.arange(STREAMS)].all()


def test_a_ring_of_stacked_pictures_is_as_many_times_smaller_as_there_are_frames():
    """Of Atari's size: bytes that are laid out, and what a refusal counts with."""
    space = Box(0, 255, (4, 84, 84), dtype=np.uint8)
    once, whole = (Spec(space, Discrete(6), 8, 1, frame_stack=frames) for frames in (4, 1))

    def size(spec):
        ring = jax.eval_shape(lambda: ReplayBuffer.initial(spec, 100_000))
        assert ring.obs.dtype == ring.next_obs.dtype == np.uint8
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(ring))

    assert size(whole) / size(once) == pytest.approx(4, rel=0.01)
    assert size(once) == pytest.approx(100_000 * transition_bytes(once, in_ring=True), rel=0.001)
    assert transition_bytes(once) == transition_bytes(whole) > 8 * 84 * 84
