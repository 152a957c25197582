"""What several seeds say together: by hand, and as SciPy has it."""

import functools

import numpy as np
import pytest
import scipy.stats

from steepest.runs.statistics import (
    interquartile_mean,
    mean_score,
    median_score,
    optimality_gap,
    performance_profile,
    pooled_interquartile_mean,
    probability_of_improvement,
    stratified_interval,
)

TASKS = [np.array([0.0, 1.0, 2.0, 9.0]), np.array([4.0, 4.0, 5.0, 7.0])]
"""Means 3 and 5; in order 0 1 2 4 4 5 7 9."""


def test_aggregates_of_two_tasks_by_hand():
    assert pooled_interquartile_mean(TASKS) == (2 + 4 + 4 + 5) / 4
    assert (median_score(TASKS), mean_score(TASKS)) == (4, 4)
    assert optimality_gap(TASKS, 5.0) == ((5 + 4 + 3 + 0) / 4 + (1 + 1 + 0 + 0) / 4) / 2
    three = [*TASKS, np.array([100.0])]
    assert median_score(three) == 5
    assert mean_score(three) == 36


def test_of_a_single_task_the_median_is_that_of_its_seeds():
    assert median_score(TASKS[:1]) == 1.5
    assert pooled_interquartile_mean(TASKS[:1]) == 1.5


@pytest.mark.parametrize("count", range(1, 12))
def test_with_equal_weights_the_weighted_interquartile_mean_is_the_plain_one(count):
    values = np.random.default_rng(count).normal(size=(3, count))
    np.testing.assert_allclose(interquartile_mean(values, weights=np.full(count, 0.3)), interquartile_mean(values))
    np.testing.assert_allclose(interquartile_mean(values.T, axis=0, weights=np.ones(count)), interquartile_mean(values))


def test_tasks_count_the_same_however_many_seeds_they_have():
    """A task whose seeds are listed three times over is the same task; so many values drop a quarter exactly."""
    generator = np.random.default_rng(0)
    few, many = generator.normal(size=4), generator.normal(size=12)
    found = pooled_interquartile_mean([few, many])
    assert found == pytest.approx(scipy.stats.trim_mean(np.concatenate([np.repeat(few, 3), many]), 0.25))
    assert mean_score([few, many]) == pytest.approx((few.mean() + many.mean()) / 2)


def test_a_profile_is_the_tail_of_the_distribution_on_average_over_tasks():
    thresholds = np.array([-1.0, 1.0, 4.5, 9.0])
    np.testing.assert_allclose(performance_profile(TASKS, thresholds), [1, (0.5 + 1) / 2, (0.25 + 0.5) / 2, 0])


def test_the_probability_of_improvement_is_the_statistic_of_mann_and_whitney():
    generator = np.random.default_rng(1)
    one, other = generator.integers(0, 5, 7).astype(float), generator.integers(0, 5, 4).astype(float)
    expected = scipy.stats.mannwhitneyu(one, other).statistic / (7 * 4)
    assert probability_of_improvement([one], [other]) == pytest.approx(expected)
    assert probability_of_improvement([other], [one]) == pytest.approx(1 - expected)
    both = probability_of_improvement([one, np.array([2.0])], [other, np.array([1.0])])
    assert both == pytest.approx((expected + 1) / 2)


@pytest.mark.parametrize(
    ("statistic", "samples"),
    [
        (mean_score, 1),
        (median_score, 1),
        (pooled_interquartile_mean, 1),
        (functools.partial(optimality_gap, target=0.5), 1),
        (probability_of_improvement, 2),
    ],
    ids=["mean", "median", "iqm", "gap", "improvement"],
)
def test_the_stratified_interval_is_scipys_which_draws_within_each_sample(statistic, samples):
    generator = np.random.default_rng(2)
    scores = [[generator.normal(loc, 1, 9) for loc in (0, 0.7, 3)] for _ in range(samples)]

    def of_scipy(*tasks, axis=-1):
        return statistic(*[tasks[3 * index : 3 * index + 3] for index in range(samples)])

    flat = [task for each in scores for task in each]
    options = {"n_resamples": 4000, "method": "percentile", "rng": np.random.default_rng(3)}
    theirs = scipy.stats.bootstrap(flat, of_scipy, paired=False, vectorized=True, **options).confidence_interval
    ours = stratified_interval(statistic, *scores, resamples=4000)
    width = theirs.high - theirs.low
    np.testing.assert_allclose(ours, theirs, atol=0.06 * width)


def test_drawing_within_tasks_keeps_what_lies_between_them_out_of_the_interval():
    """Drawn from all, a resample could have more seeds of the easy task, and the interval would be far too wide."""
    tasks = [np.array([0.0, 0.1, 0.2]), np.array([100.0, 100.1, 100.2])]
    low, high = stratified_interval(mean_score, tasks)
    assert 49.9 < low < 50.1 < high < 50.3


def test_a_band_of_a_profile_has_a_lower_and_an_upper_end_at_each_threshold():
    thresholds = np.linspace(-3, 3, 7)
    scores = [np.random.default_rng(4).normal(size=20) for _ in range(2)]
    low, high = stratified_interval(lambda each: performance_profile(each, thresholds), scores)
    middle = performance_profile(scores, thresholds)
    assert low.shape == high.shape == (7,)
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert (high - low)[3] > 0.1


def test_one_seed_for_each_task_is_a_point():
    low, high = stratified_interval(mean_score, [np.array([1.0]), np.array([3.0])])
    assert low == high == 2
