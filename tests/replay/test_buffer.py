"""The ring: what it keeps, what can be drawn from it, and what it costs."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete, Spec
from steepest.core.trajectory import Trajectory
from steepest.replay import ReplayBuffer, check_memory
from steepest.replay.memory import transition_bytes

KEY = jax.random.key(0)
STREAMS = 2
SPEC = Spec(Box(-np.inf, np.inf, (1,)), Discrete(2), STREAMS, 1)
add = jax.jit(ReplayBuffer.add)


def numbered(first, steps, *, valid=None, terminated=None, truncated=None):
    """Rows whose observation is their own number, and that of the row below is the next one; reward = number."""
    number = (first + np.arange(steps))[:, None] + 1000 * np.arange(STREAMS)[None, :]
    no = np.zeros((steps, STREAMS), bool)
    obs = jnp.asarray(number, jnp.float32)[..., None]
    flags = [jnp.asarray(no if each is None else each) for each in (terminated, truncated)]
    return Trajectory(
        obs=obs,
        action=jnp.asarray(number % 2, jnp.int32),
        next_obs=obs + 1,
        reward=obs[..., 0],
        log_prob=-obs[..., 0],
        terminated=flags[0],
        truncated=flags[1],
        valid=jnp.asarray(~no if valid is None else valid),
    )


def kept(ring):
    """The numbers in the ring, by stream."""
    rows = np.asarray(ring.obs)[:, 0].reshape(-1, STREAMS)
    return [set(rows[: min(int(ring.written[n]), ring.length), n].astype(int).tolist()) for n in range(STREAMS)]


def test_the_oldest_rows_are_written_over():
    ring = ReplayBuffer.initial(SPEC, 11)  # five for each stream, and one that no stream can have
    for first in (0, 3, 6):
        ring = add(ring, numbered(first, 3))
    assert ring.length == 5
    assert kept(ring) == [{4, 5, 6, 7, 8}, {1004, 1005, 1006, 1007, 1008}]
    assert int(ring.size) == 10
    np.testing.assert_array_equal(ring.next_obs, ring.obs + 1)
    np.testing.assert_array_equal(ring.reward, ring.obs[:, 0])
    np.testing.assert_array_equal(ring.action, ring.obs[:, 0].astype(jnp.int32) % 2)


def test_rows_that_are_not_valid_are_not_written():
    valid = np.array([[True, False], [False, False], [True, True]])
    ring = add(ReplayBuffer.initial(SPEC, 10), numbered(0, 3, valid=valid))
    assert kept(ring) == [{0, 2}, {1002}]
    assert int(ring.size) == 3
    assert kept(add(ring, numbered(7, 3), jnp.asarray(False))) == [{0, 2}, {1002}]


def test_more_steps_than_rows_are_refused():
    with pytest.raises(ValueError, match="6 steps do not fit into a ring of 5"):
        ReplayBuffer.initial(SPEC, 10).add(numbered(0, 6))


def test_every_row_is_as_likely_as_any_other():
    """χ² over the rows of streams that are filled unevenly, one of them once around."""
    valid = np.ones((7, STREAMS), bool)
    valid[:4, 1] = False
    ring = add(ReplayBuffer.initial(SPEC, 10), numbered(0, 4, valid=valid[:4]))
    ring = add(ring, numbered(4, 3))
    count = 40_000
    drawn = np.asarray(ring.draw(KEY, count).obs)[:, 0].astype(int)
    found, times = np.unique(drawn, return_counts=True)
    assert set(found) == set.union(*kept(ring)) == {2, 3, 4, 5, 6, 1004, 1005, 1006}
    expected = count / len(found)
    chi_squared = np.sum((times - expected) ** 2) / expected
    freedom = len(found) - 1
    assert chi_squared < freedom + 4 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("steps", [3, 12])
@pytest.mark.parametrize("flag", ["terminated", "truncated"])
def test_several_steps_stop_at_an_end_and_at_the_newest_row(flag, steps):
    """Against sums that are written out: rows 2 … 8 remain, an episode ends with row 5."""
    ring = ReplayBuffer.initial(SPEC, 14)
    for first in (0, 3, 6):
        ended = np.zeros((3, STREAMS), bool)
        ended[2] = first == 3
        ring = add(ring, numbered(first, 3, **{flag: ended}))
    rows = jax.jit(functools.partial(ReplayBuffer.draw, count=500, steps=steps, discount=0.5))(ring, KEY)
    seen = set()
    for obs, next_obs, reward, terminated, discount in zip(
        rows.obs[:, 0], rows.next_obs[:, 0], rows.reward, rows.terminated, rows.discount, strict=True
    ):
        first, stream = int(obs) % 1000, int(obs) // 1000
        last = min(first + steps - 1, 5 if first <= 5 else 8)
        numbers = 1000 * stream + np.arange(first, last + 1)
        assert int(next_obs) == numbers[-1] + 1
        np.testing.assert_allclose(reward, np.sum(numbers * 0.5 ** np.arange(len(numbers))))
        assert float(discount) == 0.5 ** len(numbers)
        assert bool(terminated) == (last == 5 and flag == "terminated")
        seen.add(first)
    assert seen == set(range(2, 9))


def test_several_steps_do_not_go_on_where_another_episode_was_begun_without_an_end():
    """As after a resume on the host, where the environments were made anew."""
    ring = add(add(ReplayBuffer.initial(SPEC, 10), numbered(0, 2)), numbered(50, 2))
    rows = ring.draw(KEY, 200, steps=4, discount=1.0)
    assert set(np.asarray(rows.next_obs[:, 0]).astype(int).tolist()) == {2, 52, 1002, 1052}


def test_the_newest_row_is_not_counted_again_where_nothing_moves():
    """A state that leads to itself begins where it led to; even so nothing follows the newest row."""
    still = numbered(0, 3)
    still = dataclasses.replace(still, obs=still.obs * 0, next_obs=still.obs * 0, reward=still.reward * 0 + 1)
    rows = add(ReplayBuffer.initial(SPEC, 10), still).draw(KEY, 200, steps=5)
    assert set(np.asarray(rows.reward).tolist()) == {1.0, 2.0, 3.0}


def test_writing_and_drawing_happen_where_the_ring_is():
    """The memory is the same before and after, so it was not copied."""

    @functools.partial(jax.jit, donate_argnums=0)
    def use(ring, trajectory):
        def once(_, loop):
            ring, total = loop
            ring = ring.add(trajectory)
            return ring, total + jnp.sum(ring.draw(KEY, 4, steps=2).reward)

        return jax.lax.fori_loop(0, 3, once, (ring, jnp.zeros(())))

    ring = jax.jit(lambda: ReplayBuffer.initial(SPEC, 100))()
    where = ring.obs.unsafe_buffer_pointer(), ring.reward.unsafe_buffer_pointer()
    after, _ = use(ring, numbered(0, 3))
    assert (after.obs.unsafe_buffer_pointer(), after.reward.unsafe_buffer_pointer()) == where


def test_a_million_transitions_of_half_cheetah_fit_into_250_megabytes():
    spec = Spec(Box(-np.inf, np.inf, (17,)), Box(-1.0, 1.0, (6,)), 8, 1)
    ring = jax.eval_shape(lambda: ReplayBuffer.initial(spec, 1_000_000))
    rows = [leaf for leaf in jax.tree.leaves(ring) if leaf.ndim and leaf.shape[0] == 1_000_000]
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in rows)
    assert size == transition_bytes(spec) * 1_000_000 <= 250e6


def test_a_return_over_many_steps_is_not_a_longer_program():
    """It was, and a return over a few hundred steps took minutes to compile."""

    def program(steps):
        draw = functools.partial(ReplayBuffer.draw, count=8, steps=steps)
        return len(str(jax.make_jaxpr(draw)(ReplayBuffer.initial(SPEC, 4000), KEY)))

    assert program(1000) < 1.1 * program(20)


def test_what_cannot_fit_is_refused_with_the_number():
    with pytest.raises(InputError, match=r"need 2.2e\+06 GB, and .* GB are free. Use at most \d+\."):
        check_memory(SPEC, 10**14)
    check_memory(SPEC, 1000)
