"""What is said of estimates, against hand-computed cases and against distributions that are known."""

import numpy as np
import pytest
import scipy.stats

from steepest.diagnostics.quality import MOST, Reference, _trace_of_square, quality, total_variance

SAMPLES = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 3.0]])
EXACT = Reference(np.array([1.0, 1.0]), None, "by hand")


def test_three_estimates_by_hand():
    found = quality(SAMPLES, EXACT)
    assert found.bias == pytest.approx(1)  # the mean is (2, 1)
    assert found.variance == pytest.approx(1 + 3)
    assert found.bias_by_chance == pytest.approx(np.sqrt(4 / 3))
    assert found.relative_bias == pytest.approx(1 / np.sqrt(2))
    assert found.signal_to_noise == pytest.approx(np.sqrt(2) / 2)
    assert found.cosine == pytest.approx((2 / np.sqrt(2) + 5 / np.sqrt(26)) / 3)
    # Squared distances to the mean are 2, 2 and 4.
    assert found.variance_standard_error == pytest.approx(np.std([2, 2, 4], ddof=1) / np.sqrt(3))


def test_an_estimate_of_zero_has_no_direction():
    assert quality(np.array([[0.0, 0.0], [5.0, 5.0]]), EXACT).cosine == pytest.approx(0.5)


def test_with_one_parameter_it_is_students_test():
    values = np.random.default_rng(0).normal(0.7, 1, 9)
    found = quality(values[:, None], Reference(np.zeros(1), None, ""))
    chance = scipy.stats.ttest_1samp(values, 0).pvalue
    assert found.bias_standard_errors == pytest.approx(scipy.stats.norm.isf(chance / 2), rel=1e-6)


def test_with_one_parameter_and_a_sampled_reference_it_is_welchs():
    generator = np.random.default_rng(1)
    values, others = generator.normal(0.7, 1, 9), generator.normal(0, 3, 40)
    reference = Reference(others.mean(keepdims=True), others[:, None], "")
    chance = scipy.stats.ttest_ind(values, others, equal_var=False).pvalue
    found = quality(values[:, None], reference).bias_standard_errors
    # The directions are found from estimates of squares, which for one parameter must come out as one.
    assert found == pytest.approx(scipy.stats.norm.isf(chance / 2), rel=1e-6)
    assert reference.standard_error == pytest.approx(scipy.stats.sem(others))


@pytest.mark.parametrize("sampled", [False, True])
def test_without_a_bias_standard_errors_are_those_of_a_normal_number(sampled):
    generator = np.random.default_rng(2)
    root = generator.normal(size=(8, 8)) * np.array([5, 3, 2, 1, 1, 0.5, 0.1, 0])[:, None]
    truth = generator.normal(size=8)

    def drawn(count):
        return truth + generator.normal(size=(count, 8)) @ root

    def one():
        others = drawn(60)
        reference = Reference(others.mean(0), others, "") if sampled else Reference(truth, None, "")
        return quality(drawn(20), reference).bias_standard_errors

    found = np.array([one() for _ in range(1000)])
    assert 0.02 < np.mean(found > 2) < 0.08  # 0.0455
    assert np.mean(found > 1) == pytest.approx(0.317, abs=0.06)
    assert found.max() < 5


def test_a_bias_of_a_tenth_of_the_noise_is_found_among_many_estimates():
    samples = np.random.default_rng(3).normal(size=(2000, 5))
    assert not quality(samples, Reference(np.zeros(5), None, "")).biased
    assert quality(samples, Reference(np.full(5, 0.1), None, "")).biased


def test_an_error_of_the_reference_is_no_bias():
    generator = np.random.default_rng(4)
    others, samples = generator.normal(size=(10, 5)), generator.normal(size=(4000, 5))
    mean = others.mean(0)
    assert quality(samples, Reference(mean, None, "")).biased
    assert not quality(samples, Reference(mean, others, "")).biased


def test_too_few_estimates_say_nothing_of_bias_and_one_nothing_of_variance():
    assert np.isnan(quality(SAMPLES[:2], EXACT).bias_standard_errors)
    assert not quality(SAMPLES[:2], EXACT).biased
    assert np.isnan(total_variance(SAMPLES[:1]))


def test_without_noise_any_bias_is_one():
    same = np.tile([1.0, 1.0], (5, 1))
    assert quality(same, EXACT).bias_standard_errors == 0
    assert quality(same + 0.1, EXACT).bias_standard_errors == MOST
    assert quality(same, EXACT).signal_to_noise == np.inf


def test_the_square_of_a_covariance_is_estimated_without_bias_where_parameters_outnumber_estimates():
    generator, scale = np.random.default_rng(5), np.array([3.0, *np.ones(40)])

    def one():
        drawn = generator.normal(size=(8, 41)) * scale
        return _trace_of_square(drawn - drawn.mean(0))

    assert np.mean([one() for _ in range(4000)]) == pytest.approx((scale**4).sum(), rel=0.03)
