"""Baselines against their formulas, written out (G6)."""

import jax.numpy as jnp
import numpy as np
import pytest

from steepest.advantages import AveragePerTimeStep, AverageReturn, AverageReturnToGo, variance_optimal

RETURNS = np.array([[4.0, 1.0, 7.0], [2.0, 5.0, 9.0]], np.float32)
VALID = np.array([[True, True, True], [True, False, True]])


def others(index):
    return [each for each in range(3) if each != index]


@pytest.mark.parametrize("leave_one_out", [True, False])
def test_every_baseline_is_its_mean(leave_one_out):
    for stream in range(3):
        streams = others(stream) if leave_one_out else [0, 1, 2]
        rows = [(time, each) for each in streams for time in range(2) if VALID[time, each]]
        wanted = {
            AverageReturn: [np.mean(RETURNS[0, streams])] * 2,
            AverageReturnToGo: [np.mean([RETURNS[row] for row in rows])] * 2,
            AveragePerTimeStep: [
                np.mean([RETURNS[time, each] for each in streams if VALID[time, each]]) for time in range(2)
            ],
        }
        for kind, value in wanted.items():
            found = kind(leave_one_out)(jnp.asarray(RETURNS), jnp.asarray(VALID))
            np.testing.assert_allclose(found[:, stream], value, rtol=1e-6)


def test_what_stands_in_rows_that_are_not_valid_does_not_matter():
    spoilt = np.where(VALID, RETURNS, np.nan)
    for kind in (AverageReturn, AverageReturnToGo, AveragePerTimeStep):
        clean = kind()(jnp.asarray(RETURNS), jnp.asarray(VALID))
        np.testing.assert_array_equal(kind()(jnp.asarray(spoilt), jnp.asarray(VALID)), clean)


def test_where_there_are_no_others_the_baseline_is_0():
    one = jnp.asarray(RETURNS[:, :1])
    for kind in (AverageReturn, AverageReturnToGo, AveragePerTimeStep):
        np.testing.assert_array_equal(kind()(one, jnp.ones((2, 1), bool)), 0)


@pytest.mark.parametrize("per_parameter", [True, False])
@pytest.mark.parametrize("leave_one_out", [True, False])
def test_the_variance_optimal_baseline_is_its_formula(per_parameter, leave_one_out):
    generator = np.random.default_rng(0)
    scores, returns = generator.normal(size=(5, 3)), generator.normal(size=5) + 4
    square = scores**2 if per_parameter else (scores**2).sum(1, keepdims=True)
    found = variance_optimal(
        jnp.asarray(scores, jnp.float32),
        jnp.asarray(returns, jnp.float32),
        per_parameter=per_parameter,
        leave_one_out=leave_one_out,
    )
    for own in range(5):
        used = [each for each in range(5) if each != own or not leave_one_out]
        wanted = (square[used] * returns[used, None]).sum(0) / square[used].sum(0)
        np.testing.assert_allclose(found[own if leave_one_out else 0], wanted, rtol=1e-4)


def test_no_other_constant_leaves_less_variance():
    """T10: the sample variance of g (R − b), over a grid of b, is least at the optimum of that sample."""
    generator = np.random.default_rng(1)
    score, returns = generator.normal(size=4000), generator.normal(size=4000) + 3
    returns = returns + score**2
    score -= score.mean()
    best = float(
        variance_optimal(
            jnp.asarray(score[:, None], jnp.float32),
            jnp.asarray(returns, jnp.float32),
            per_parameter=True,
            leave_one_out=False,
        )[0, 0]
    )
    # The second moment; the mean does not depend on b where the scores sum to 0.
    moment = [np.mean((score * (returns - b)) ** 2) for b in best + np.linspace(-2, 2, 41)]
    assert int(np.argmin(moment)) == 20


def test_a_parameter_that_no_other_episode_touched_has_the_baseline_0():
    scores = jnp.asarray([[1.0, 0.0], [2.0, 3.0], [1.0, 0.0]])
    found = variance_optimal(scores, jnp.asarray([1.0, 2.0, 3.0]), per_parameter=True, leave_one_out=True)
    np.testing.assert_allclose(found[:, 1], [2.0, 0.0, 2.0])
