"""Every distribution against float64 references: enumeration of discrete actions, quadrature over continuous ones."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax.flatten_util import ravel_pytree

from steepest.core.distributions import (
    AbstractDistribution,
    Bernoulli,
    Categorical,
    Gaussian,
    MultiDiscrete,
    TanhGaussian,
)
from steepest.core.errors import InputError

BATCH, MANY = 3, 20_000
LOW, HIGH = (-2.0, 0.5), (2.0, 10.0)
generator = np.random.default_rng(0)


def normal(*shape: int, scale: float = 1.0) -> jax.Array:
    return jnp.asarray(scale * generator.normal(size=shape), jnp.float32)


def double(array: jax.Array) -> np.ndarray:
    return np.asarray(array, np.float64)


# References in float64: log-densities, and points [K, BATCH, …] and weights, [K, BATCH] or scalar,
# with Σ w f(a) = ∫ f(a) da.


def categorical_log_density(distribution, action):
    log_p = scipy.special.log_softmax(double(distribution.logits), axis=-1)
    return np.take_along_axis(log_p[None], action[..., None], axis=-1)[..., 0]


def multi_discrete_log_density(distribution, action):
    return sum(categorical_log_density(Categorical(z), action[..., i]) for i, z in enumerate(distribution.logits))


def bernoulli_log_density(distribution, action):
    return scipy.stats.bernoulli.logpmf(action, scipy.special.expit(double(distribution.logits))).sum(-1)


def gaussian_log_density(distribution, action):
    return scipy.stats.norm.logpdf(action, double(distribution.mean), np.exp(double(distribution.log_std))).sum(-1)


def rescaled(action):
    return 2 * (action - np.array(LOW)) / (np.array(HIGH) - np.array(LOW)) - 1


def tanh_gaussian_log_density(distribution, action):
    z, half = rescaled(action), (np.array(HIGH) - np.array(LOW)) / 2
    return gaussian_log_density(distribution, np.arctanh(z)) - np.log(half * (1 - z) * (1 + z)).sum(-1)


def every(*numbers_of_outcomes: int):
    outcomes = np.array(list(itertools.product(*map(range, numbers_of_outcomes))), np.int32)
    return np.repeat(outcomes[:, None], BATCH, axis=1), np.ones(())


def gaussian_points(distribution):
    step = np.linspace(-7, 7, 57)  # equal steps integrate a normal density times a polynomial to 1e-11
    standard = np.array(list(itertools.product(step, step)))
    std = np.exp(double(distribution.log_std))
    return double(distribution.mean) + std * standard[:, None], std.prod(-1) * (step[1] - step[0]) ** 2


def tanh_gaussian_points(distribution):
    u, weight = gaussian_points(distribution)
    half = (np.array(HIGH) - np.array(LOW)) / 2
    return np.array(LOW) + half * (np.tanh(u) + 1), weight * (half / np.cosh(u) ** 2).prod(-1)


class Case(NamedTuple):
    first: AbstractDistribution
    second: AbstractDistribution
    log_density: Callable
    points: Callable


def tanh_gaussian() -> TanhGaussian:
    return TanhGaussian(normal(BATCH, 2, scale=0.5), -1 + normal(BATCH, 2, scale=0.3), low=LOW, high=np.array(HIGH))


CASES = {
    "categorical": Case(
        Categorical(normal(BATCH, 5)),
        Categorical(normal(BATCH, 5)),
        categorical_log_density,
        lambda _: (every(5)[0][..., 0], np.ones(())),
    ),
    "multi_discrete": Case(
        MultiDiscrete((normal(BATCH, 2), normal(BATCH, 4))),
        MultiDiscrete((normal(BATCH, 2), normal(BATCH, 4))),
        multi_discrete_log_density,
        lambda _: every(2, 4),
    ),
    "bernoulli": Case(
        Bernoulli(normal(BATCH, 3)), Bernoulli(normal(BATCH, 3)), bernoulli_log_density, lambda _: every(2, 2, 2)
    ),
    "gaussian": Case(
        Gaussian(normal(BATCH, 2), normal(BATCH, 2, scale=0.5)),
        Gaussian(normal(BATCH, 2), normal(BATCH, 2, scale=0.5)),
        gaussian_log_density,
        gaussian_points,
    ),
    "tanh_gaussian": Case(tanh_gaussian(), tanh_gaussian(), tanh_gaussian_log_density, tanh_gaussian_points),
}
DISCRETE = ("categorical", "multi_discrete", "bernoulli")
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
discrete_case = pytest.mark.parametrize("case", [CASES[name] for name in DISCRETE], ids=DISCRETE)


def expectation(case: Case, function: Callable) -> np.ndarray:
    """E[function(points)] under `case.first`, for each batch entry."""
    points, weight = case.points(case.first)
    values = function(points)
    mass = weight * np.exp(case.log_density(case.first, points))
    return np.einsum("kb,kb...->b...", mass, values)


def as_action(points: np.ndarray) -> jax.Array:
    return jnp.asarray(points, jnp.int32 if points.dtype == np.int32 else jnp.float32)


@eqx.filter_jit
def log_densities(distribution, points):
    """The log-probabilities of actions as the environment takes them, which the references are of."""

    def one(taken):
        action, log_slope = distribution.unsquash(taken)
        return distribution.log_prob(action) - log_slope

    return jax.vmap(one)(points)


@jax.jit
def summary(first, second, action):
    """All that is computed from parameters and a given action."""
    return {
        "log_prob": first.log_prob(action),
        "entropy": first.entropy(),
        "kl": first.kl(second),
        "mode": first.mode(),
        "fisher_product": first.fisher_product(second),
    }


@jax.jit
def draw(distribution, key):
    return distribution.sample(key), distribution.sample_and_log_prob(key)


divergence = jax.jit(lambda first, second: first.kl(second))
entropy = jax.jit(lambda distribution: distribution.entropy())


def enlarged(distribution):
    return jax.tree.map(lambda leaf: np.broadcast_to(leaf, (MANY, *leaf.shape)), distribution)


# Values


@every_case
def test_log_prob_is_the_reference_and_its_exponential_integrates_to_one(case):
    points, weight = case.points(case.first)
    likely = case.log_density(case.first, points) > -15
    ours = double(log_densities(case.first, as_action(points)))

    np.testing.assert_allclose(ours[likely], case.log_density(case.first, points)[likely], rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose((weight * np.exp(ours) * np.ones_like(ours)).sum(0), 1, atol=1e-4)


@every_case
def test_entropy_is_minus_the_mean_log_density(case):
    expected = expectation(case, lambda points: -case.log_density(case.first, points))
    np.testing.assert_allclose(entropy(case.first), expected, rtol=1e-5, atol=1e-5)


@every_case
def test_kl_is_the_mean_of_the_log_ratio_under_the_first(case):
    def log_ratio(points):
        return case.log_density(case.first, points) - case.log_density(case.second, points)

    np.testing.assert_allclose(divergence(case.first, case.second), expectation(case, log_ratio), rtol=1e-5, atol=1e-5)
    assert not np.allclose(divergence(case.first, case.second), divergence(case.second, case.first), rtol=1e-2)


@every_case
def test_a_small_kl_keeps_its_digits_and_is_never_negative(case):
    nearby = jax.tree.map(lambda leaf: leaf + normal(*leaf.shape, scale=1e-3), case.first)

    def log_ratio(points):
        return case.log_density(case.first, points) - case.log_density(nearby, points)

    kl = np.asarray(divergence(case.first, nearby))
    np.testing.assert_allclose(kl, expectation(case, log_ratio), rtol=5e-3)
    assert np.all(kl > 0)
    assert np.all(kl < 1e-4)


@discrete_case
def test_mode_is_the_most_probable_action(case):
    points, _ = case.points(case.first)
    best = case.log_density(case.first, points).argmax(0)
    np.testing.assert_array_equal(case.first.mode(), points[best, np.arange(BATCH)])


def test_mode_of_a_gaussian_is_its_mean_and_squashed_it_is_the_median():
    gaussian, squashed = CASES["gaussian"].first, CASES["tanh_gaussian"].first
    np.testing.assert_array_equal(gaussian.mode(), gaussian.mean)
    best = squashed.squash(squashed.mode())
    np.testing.assert_allclose(np.arctanh(rescaled(double(best))), squashed.mean, atol=1e-5)


# Samples


@discrete_case
def test_samples_have_the_right_frequencies(case):
    samples = np.asarray(draw(enlarged(case.first), jax.random.key(1))[0])
    points, _ = case.points(case.first)
    expected = MANY * np.exp(case.log_density(case.first, points))
    same = samples[None] == points[:, None]
    observed = same.reshape(*same.shape[:3], -1).all(-1).sum(1)

    for entry in range(BATCH):
        assert scipy.stats.chisquare(observed[:, entry], expected[:, entry]).pvalue > 1e-3


@pytest.mark.parametrize("name", ["gaussian", "tanh_gaussian"])
def test_samples_have_the_right_distribution_function_and_no_correlation(name):
    first = CASES[name].first
    samples = double(first.squash(draw(enlarged(first), jax.random.key(2))[0]))
    u = np.arctanh(rescaled(samples)) if name == "tanh_gaussian" else samples
    standard = ((u - double(first.mean)) / np.exp(double(first.log_std))).reshape(len(u), -1)

    for column in standard.T:
        assert scipy.stats.kstest(column, "norm").pvalue > 1e-3
    np.testing.assert_allclose(np.cov(standard.T), np.eye(standard.shape[1]), atol=0.04)


@every_case
def test_sampling_with_the_log_probability_draws_the_same_action(case):
    many = enlarged(case.first)
    action, (same_action, log_prob) = draw(many, jax.random.key(3))
    np.testing.assert_array_equal(action, same_action)
    again = jax.jit(lambda distribution, action: distribution.log_prob(action))(many, action)
    np.testing.assert_allclose(log_prob, again, rtol=1e-5, atol=1e-5)


# The Fisher metric (T5)


@jax.jit
def dense_metric(distribution):
    """The matrix of `fisher_product`, for each batch entry."""

    def matrix(row):
        flat, unravel = ravel_pytree(row)
        return jax.vmap(lambda v: ravel_pytree(row.fisher_product(unravel(v)))[0])(jnp.eye(flat.size))

    return jax.vmap(matrix)(distribution)


@jax.jit
def kl_derivatives(distribution):
    """KL(self ‖ self), its gradient and its Hessian in the parameters of the second, for each batch entry."""

    def derivatives(row):
        flat, unravel = ravel_pytree(row)

        def kl(parameters):
            return row.kl(unravel(parameters))

        return kl(flat), jax.grad(kl)(flat), jax.hessian(kl)(flat)

    return jax.vmap(derivatives)(distribution)


@jax.jit
def scores(distribution, actions):
    """∇ log π of every action, [K, BATCH, parameters]."""

    def score(row, action):
        flat, unravel = ravel_pytree(row)
        return jax.grad(lambda parameters: unravel(parameters).log_prob(action))(flat)

    return jax.vmap(lambda action: jax.vmap(score)(distribution, action))(actions)


@every_case
def test_the_metric_is_the_hessian_of_the_kl_where_the_kl_and_its_gradient_vanish(case):
    kl, gradient, hessian = kl_derivatives(case.first)
    np.testing.assert_allclose(kl, 0, atol=1e-7)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    np.testing.assert_allclose(dense_metric(case.first), hessian, rtol=1e-5, atol=1e-6)


@every_case
def test_the_metric_is_the_mean_outer_product_of_scores(case):
    def outer_product(points):
        score = double(scores(case.first, case.first.unsquash(as_action(points))[0]))
        return np.einsum("kbi,kbj->kbij", score, score)

    expected = expectation(case, outer_product)
    np.testing.assert_allclose(dense_metric(case.first), expected, rtol=1e-3, atol=1e-3)


def test_gaussian_score_is_the_explicit_formula_and_not_the_one_printed_with_a_half():
    weights, observation, action, log_std = normal(2, 3), normal(3), normal(2), normal(2)

    def log_prob(weights):
        return Gaussian(weights @ observation, log_std).log_prob(action)

    error = double(action) - double(weights) @ double(observation)
    inverse_covariance = np.diag(np.exp(-2 * double(log_std)))
    explicit = np.outer(inverse_covariance @ error, double(observation))
    printed = -0.5 * np.outer(inverse_covariance @ -error, double(observation))

    score = jax.jit(jax.grad(log_prob))(weights)
    np.testing.assert_allclose(score, explicit, rtol=1e-5)
    assert not np.allclose(score, printed, rtol=0.1)


def test_gaussian_score_includes_the_logarithm_of_the_width():
    gaussian, action = CASES["gaussian"].first, normal(BATCH, 2)
    score = jax.jit(jax.grad(lambda each: jnp.sum(each.log_prob(action))))(gaussian)
    standard = (double(action) - double(gaussian.mean)) / np.exp(double(gaussian.log_std))
    np.testing.assert_allclose(score.log_std, standard**2 - 1, rtol=1e-5, atol=1e-5)


# Total variation ≤ √(KL/2) (T4)

pairs_of_logits = hypothesis.extra.numpy.arrays(np.float32, (2, 4), elements=st.floats(-8, 8, width=32))
quick = hypothesis.settings(max_examples=100, deadline=None, database=None)


@quick
@hypothesis.given(pairs_of_logits)
def test_pinsker_for_categorical(logits):
    p, q = scipy.special.softmax(logits.astype(np.float64), axis=-1)
    kl = float(divergence(Categorical(jnp.asarray(logits[0])), Categorical(jnp.asarray(logits[1]))))
    assert kl >= -1e-12
    assert np.abs(p - q).sum() / 2 <= np.sqrt(max(kl, 0) / 2) + 1e-6


@quick
@hypothesis.given(*[st.floats(-2, 2, width=32)] * 4)
def test_pinsker_for_gaussian(first_mean, first_log_std, second_mean, second_log_std):
    grid = np.linspace(-60, 60, 60_001)
    p = scipy.stats.norm.pdf(grid, first_mean, np.exp(first_log_std))
    q = scipy.stats.norm.pdf(grid, second_mean, np.exp(second_log_std))
    first = Gaussian(jnp.full(1, first_mean), jnp.full(1, first_log_std))
    second = Gaussian(jnp.full(1, second_mean), jnp.full(1, second_log_std))
    kl = float(divergence(first, second))
    assert kl >= -1e-12
    assert np.abs(p - q).sum() * (grid[1] - grid[0]) / 2 <= np.sqrt(max(kl, 0) / 2) + 1e-6


@every_case
def test_nan_in_any_parameter_comes_out_and_stays_in_its_batch_entry(case):
    action = as_action(case.points(case.first)[0])[0]
    leaves, structure = jax.tree.flatten(case.first)
    for i, leaf in enumerate(leaves):
        broken = jax.tree.unflatten(structure, [*leaves[:i], leaf.at[0, 0].set(jnp.nan), *leaves[i + 1 :]])
        found = summary(broken, case.second, action)
        sampled, (_, log_prob) = jax.tree.map(lambda drawn: drawn[0], draw(enlarged(broken), jax.random.key(7)))
        values = [found["log_prob"], found["kl"], divergence(case.second, broken), log_prob]
        if leaf is not getattr(case.first, "mean", None):  # of which a Gaussian's entropy knows nothing
            values.append(found["entropy"])
        if action.dtype == jnp.float32:
            values.append(np.sum(sampled, axis=-1))
        for value in values:
            np.testing.assert_array_equal(np.isnan(value), [True, False, False])


# Axes and types


@every_case
def test_leading_axes_are_what_vmap_would_make_of_them(case):
    points, _ = case.points(case.first)
    action = jnp.stack([as_action(points[0]), as_action(points[-1])])
    first = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1]]), case.first)
    second = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf / 2]), case.second)

    whole = summary(first, second, action)
    mapped = jax.jit(jax.vmap(jax.vmap(summary)))(first, second, action)
    assert whole["log_prob"].shape == (2, BATCH)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), whole, mapped)
    assert jax.eval_shape(draw, first, jax.random.key(8))[0].shape == action.shape


@every_case
@pytest.mark.parametrize("x64", [False, True])
def test_numbers_are_single_precision_even_where_double_is_enabled(case, x64):
    action = as_action(case.points(case.first)[0])[0]
    with jax.enable_x64(x64):
        found = jax.eval_shape(summary, case.first, case.second, action)
        sampled, (_, log_prob) = jax.eval_shape(draw, case.first, jax.random.key(9))
    for actions in (sampled, found.pop("mode")):
        assert actions.dtype == action.dtype
        assert actions.shape == action.shape
    for value in jax.tree.leaves((found, log_prob)):
        assert value.dtype == jnp.float32
    for value in (found["log_prob"], found["entropy"], found["kl"], log_prob):
        assert value.shape == (BATCH,)


@every_case
def test_a_metric_product_is_shaped_like_the_distribution(case):
    _, tangent = jax.jvp(lambda x: x, (case.first,), (case.second,))
    product = case.first.fisher_product(tangent)
    assert jax.tree.structure(product) == jax.tree.structure(case.first)


# Refusals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiDiscrete(()), "logits is empty; give one array"),
        (lambda: TanhGaussian(jnp.zeros(2), jnp.zeros(2), low=[0.0], high=[1.0, 1.0]), "one bound for each"),
        (lambda: TanhGaussian(jnp.zeros(1), jnp.zeros(1), low=[1.0], high=[1.0]), "low below high"),
        (lambda: TanhGaussian(jnp.zeros(1), jnp.zeros(1), low=[0.0], high=[np.inf]), "Use Gaussian"),
        (lambda: Gaussian(jnp.zeros((4, 2)), jnp.zeros(2)), "jnp.broadcast_to"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(make, message):
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(InputError, match=message):
            make()
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
