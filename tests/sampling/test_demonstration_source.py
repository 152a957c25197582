"""Reading demonstrations: every row once an epoch, and only rows that may be learnt from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.algorithms import BehaviourCloning
from steepest.core.demonstrations import Demonstrations
from steepest.core.spaces import Box, Discrete, Spec
from steepest.sampling.demonstration_source import DemonstrationSource

KEY = jax.random.key(3)


def reading(rows, batch, batches, key=KEY, held_out=0.0):
    """The source, the algorithm, and the row numbers of so many batches."""
    spec = Spec(Box(-1, 1, (1,)), Discrete(rows), batch, 1)
    algorithm = BehaviourCloning(hidden=(2,), batch_size=batch, held_out=held_out).build(spec)
    numbers = np.arange(rows)
    source = DemonstrationSource.of(
        Demonstrations(numbers[:, None] / rows, numbers).checked("E", spec.observation, spec.action), spec, held_out
    )
    agent = algorithm.init(key)

    def once(streams, _):
        streams, trajectory, metrics = source.sample(algorithm, agent, streams, key)
        return streams, (trajectory, metrics)

    streams, (trajectory, metrics) = jax.lax.scan(once, source.start(key, algorithm), length=batches)
    assert int(streams.position) == batch * batches
    return source, trajectory, metrics


@pytest.mark.parametrize(("rows", "batch"), [(12, 4), (10, 4), (37, 10), (5, 12), (1, 3), (3, 3), (64, 1)], ids=str)
def test_every_row_comes_once_in_every_epoch(rows, batch):
    epochs = 5
    _, trajectory, _ = reading(rows, batch, -(-rows * epochs // batch))
    read = np.asarray(trajectory.action).reshape(-1)[: rows * epochs].reshape(epochs, rows)
    assert np.array_equal(np.sort(read, axis=1), np.tile(np.arange(rows), (epochs, 1)))
    assert rows < 5 or len({tuple(each) for each in read.tolist()}) == epochs, "each epoch has its own order"


def test_observations_and_actions_stay_together_and_everything_else_is_silent():
    _, trajectory, _ = reading(20, 6, 4)
    np.testing.assert_allclose(trajectory.obs[..., 0] * 20, trajectory.action, atol=1e-4)
    assert trajectory.valid.all()
    assert trajectory.terminated.all()
    assert not trajectory.truncated.any()
    assert not trajectory.reward.any()


def test_seeds_read_in_orders_of_their_own():
    one, other = (reading(50, 10, 5, key=jax.random.key(seed))[1].action for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_rows_held_out_are_never_read_and_both_likelihoods_are_measured():
    source, trajectory, metrics = reading(40, 10, 8, held_out=0.25)
    kept = set(np.asarray(source.held_out[1]).tolist())
    assert len(kept) == 10
    assert not kept & set(np.asarray(trajectory.action).reshape(-1).tolist())
    # A fresh policy is nearly uniform over the 40 choices.
    np.testing.assert_allclose(metrics["log_likelihood"], -np.log(40), atol=0.05)
    np.testing.assert_allclose(metrics["held_out_log_likelihood"], -np.log(40), atol=0.05)
    assert not np.array_equal(metrics["log_likelihood"], metrics["held_out_log_likelihood"])
    assert "held_out_log_likelihood" not in reading(4, 2, 1)[2]


def test_choices_are_counted_from_0_whatever_the_environment_calls_the_first():
    spec = Spec(Discrete(3, start=2), Discrete(2, start=5), 1, 1)
    given = Demonstrations([2, 3, 4], [5, 6, 5]).checked("E", spec.observation, spec.action)
    source = DemonstrationSource.of(given, spec, 0.0)
    assert source.obs.tolist() == [0, 1, 2]
    assert source.action.tolist() == [0, 1, 0]
    assert (source.obs.dtype, source.action.dtype) == (jnp.int32, jnp.int32)


def test_shapes_can_be_had_without_rows():
    spec = Spec(Box(-1, 1, (1,)), Discrete(7), 2, 1)
    blank, real = DemonstrationSource.blank(spec), reading(7, 2, 1)[0]
    assert [leaf.dtype for leaf in jax.tree.leaves(blank)] == [leaf.dtype for leaf in jax.tree.leaves(real)]
    assert blank.obs.shape[1:] == real.obs.shape[1:]
