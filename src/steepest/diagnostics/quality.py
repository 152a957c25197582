"""Bias and variance of gradient estimates, and a significance test of the bias."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

BIASED = 5.0
"""The number of standard errors from which a bias is reported. With 30 normal estimates chance gets there once in 2,000
in the worst case tried, where one direction has nearly all of the noise, and hardly ever where many share it."""
MOST = 8.0
"""The largest number of standard errors reported."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """The gradient that estimates are compared with.

    - `gradient`: [P].
    - `samples`: independent estimates that it is the mean of, [R, P]; None where it is exact.
    - `meaning`: its origin, in words.
    """

    gradient: Float[np.ndarray, " P"]
    samples: Float[np.ndarray, "R P"] | None
    meaning: str

    @property
    def exact(self) -> bool:
        """Whether the reference is exact."""
        return self.samples is None

    @property
    def norm(self) -> float:
        """The norm ‖∇J‖."""
        return float(np.linalg.norm(self.gradient))

    @property
    def standard_error(self) -> float:
        """The root of the expected squared distance to the true ∇J; 0 where it is exact."""
        if self.samples is None:
            return 0.0
        return float(np.sqrt(total_variance(self.samples) / len(self.samples)))


@dataclasses.dataclass(frozen=True)
class Quality:
    r"""Statistics of R estimates $x_i$ of P parameters, in the unit of the gradient.

    - `bias`: $\lVert\bar x - \nabla J\rVert$.
    - `bias_by_chance`: the root mean square of that for an unbiased estimator.
    - `bias_standard_errors`: the significance of the bias, as the equally improbable normal deviate. NaN for fewer than
      3 estimates; never more than 8.
    - `relative_bias`: `bias` / ‖∇J‖.
    - `variance`: $\sum_j \mathrm{Var}\,x_{ij}$, of one estimate, with its own standard error.
    - `signal_to_noise`: ‖∇J‖ / √variance.
    - `cosine`: of the angle between one estimate and ∇J, on average. An estimate of 0 has no direction and counts as 0.
    """

    bias: float
    bias_by_chance: float
    bias_standard_errors: float
    relative_bias: float
    variance: float
    variance_standard_error: float
    signal_to_noise: float
    cosine: float

    @property
    def biased(self) -> bool:
        """Whether the bias is significant."""
        return self.bias_standard_errors >= BIASED


def quality(samples: Float[np.ndarray, "R P"], reference: Reference) -> Quality:
    """The statistics of estimates compared with a reference; see `Quality`."""
    samples = np.asarray(samples, np.float64)
    centred = samples - samples.mean(axis=0)
    squares = np.square(centred).sum(axis=1)
    count, norm = len(samples), reference.norm
    variance = total_variance(samples)
    bias = float(np.linalg.norm(samples.mean(axis=0) - reference.gradient))
    lengths = np.linalg.norm(samples, axis=1) * norm
    along = samples @ reference.gradient
    return Quality(
        bias=bias,
        bias_by_chance=float(np.sqrt(variance / count + reference.standard_error**2)),
        bias_standard_errors=_bias_standard_errors(bias, centred, reference),
        relative_bias=_ratio(bias, norm),
        variance=variance,
        variance_standard_error=float(np.std(squares, ddof=1) / np.sqrt(count)) if count > 1 else np.nan,
        signal_to_noise=_ratio(norm, np.sqrt(variance)),
        cosine=float(np.mean(np.divide(along, lengths, out=np.zeros_like(along), where=lengths > 0))),
    )


def total_variance(samples: Float[np.ndarray, "R P"]) -> float:
    """The sum over parameters of the variance over rows; NaN for a single row."""
    if len(samples) < 2:
        return float("nan")
    return float(np.var(np.asarray(samples, np.float64), axis=0, ddof=1).sum())


def _ratio(one: float, other: float) -> float:
    return float(one / other) if other > 0 else float("inf") if one > 0 else float("nan")


def _bias_standard_errors(bias: float, centred: Float[np.ndarray, "R P"], reference: Reference) -> float:
    r"""The significance of $\lVert\bar x - \nabla J\rVert$ as a normal deviate.

    With V the covariance of $\bar x - \nabla J$, $\lVert\bar x - \nabla J\rVert^2 / \mathrm{tr}\,V$ has mean 1, and is
    distributed nearly as F with $f$ and $f\nu$ degrees of freedom, where $f = (\mathrm{tr}\,V)^2 / \mathrm{tr}\,V^2$ is
    the effective number of noisy directions. With one parameter it is the square of Student's t. ν is Welch's where
    both sides vary.

    The covariance is never formed, since P may be large. The upward bias of $\mathrm{tr}\,S^2$ of a sample covariance
    is corrected for.

    **Reference** Box, *Some Theorems on Quadratic Forms Applied in the Study of Analysis of Variance Problems*, 1954;
    Bai and Saranadasa, *Effect of High Dimension: by an Example of a Two Sample Problem*, 1996.
    """
    if len(centred) < 3:
        return float("nan")
    sides = [centred]
    if reference.samples is not None:
        sides.append(np.asarray(reference.samples, np.float64) - reference.gradient)
    means = [np.square(each).sum() / (len(each) - 1) / len(each) for each in sides]
    total = sum(means)
    if total == 0:
        return 0.0 if bias <= 1e-6 * reference.norm else MOST
    square = sum(_trace_of_square(each) / len(each) ** 2 for each in sides)
    if len(sides) == 2:
        product = np.square(sides[0] @ sides[1].T).sum() / np.prod([(len(each) - 1) * len(each) for each in sides])
        square += 2 * product
    # The correction may overshoot; at least one direction has noise, and at most all have.
    directions = float(np.clip(total**2 / square if square > 0 else np.inf, 1, centred.shape[1]))
    freedom = total**2 / sum(mean**2 / (len(each) - 1) for mean, each in zip(means, sides, strict=True))
    return _standard_errors(bias**2 / total, directions, directions * freedom)


def _trace_of_square(centred: Float[np.ndarray, "R P"]) -> float:
    r"""$\mathrm{tr}\,\Sigma^2$ of the covariance, without bias where rows are normal."""
    n = len(centred) - 1
    gram = centred @ centred.T / n
    corrected = np.square(gram).sum() - np.trace(gram) ** 2 / n
    return float(n**2 / ((n + 2) * (n - 1)) * corrected)


def _standard_errors(ratio: float, upper: float, lower: float) -> float:
    """The two-sided normal deviate with the tail probability of `ratio` under F(`upper`, `lower`)."""
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        share, half_lower, half_upper = (
            jnp.asarray(each, jnp.float64) for each in (lower / (lower + upper * ratio), lower / 2, upper / 2)
        )
        chance = jax.scipy.special.betainc(half_lower, half_upper, share)
        return float(min(-jax.scipy.special.ndtri(chance / 2), MOST))
