"""A normal distribution squashed into a box."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from steepest.core.distributions.abstract import AbstractDistribution
from steepest.core.distributions.gaussian import Gaussian
from steepest.core.errors import InputError

LOG_TWO = math.log(2)

# Weights and standard deviations of five normal distributions whose mixture is close to a logistic one: those for which
# the largest error of `mean_log_cosh`, over all means and variances, is least.
MIXTURE = (
    (0.06425727, 0.46243309),
    (0.34996814, 0.65438460),
    (0.41456774, 0.92136197),
    (0.15818226, 1.29268780),
    (0.01302459, 1.80857735),
)


def bounds(values: object) -> tuple[float, ...]:
    """One bound for each coordinate, as numbers that a compiled program may be specialised on."""
    return tuple(float(value) for value in np.asarray(values).reshape(-1))


class TanhGaussian(AbstractDistribution["TanhGaussian"]):
    r"""A normal variable $u$, of which the environment takes $a$, squashed into the box between `low` and `high`.

    $$a = \ell + \frac{\tanh u + 1}{2}\,(h - \ell), \quad u\sim N(\mu, \mathrm{diag}\,\sigma^2), \qquad
      \log\pi(a) = \log N(u;\mu,\sigma) - \sum_i\log\frac{da_i}{du_i}$$

    $$\log\frac{da}{du} = \log\frac{h-\ell}{2} + \log(1-\tanh^2 u), \qquad
      \log(1-\tanh^2u) = 2\,(\log 2 - |u| - \log(1 + e^{-2|u|}))$$

    Its actions are the $u$: `sample`, `mode` and `log_prob` speak of them, and `squash` makes $a$ of them. The slope
    has no parameters, so ratios, scores and divergences of $u$ are those of $a$. But $a$ in single precision tells
    $u$ to 3e-4 at $|u| = 5$ and not at all beyond 8, where the ratio of a policy to itself would be far from 1.

    **Arguments**

    - `mean`, `log_std`: $\mu$ and $\log\sigma$ of $u$, before squashing, [*batch, d] both.
    - `low`, `high`: $\ell$ and $h$, d finite numbers each, in the unit of the action. They are part of what the
      distribution is and not parameters of it: static, so that they are no leaves, receive no gradient, and a tangent
      has none of their own.

    Actions are unbounded, [*batch, d]; what `squash` makes of them lies in the box. `unsquash` takes
    the edge of the box, where $u$ is infinite, for the greatest number inside. `entropy` is that of $a$: the entropy of
    $u$ grows without end where $a$ is hardly random any more.

    **Example**

    >>> policy = TanhGaussian(jnp.ones(1), jnp.zeros(1), low=[0.0], high=[4.0])
    >>> policy.mode()
    Array([1.], dtype=float32)
    >>> print(f"{policy.squash(policy.mode())[0]:.4f}")  # 2 + 2 tanh 1
    3.5232

    **Reference** Haarnoja et al., *Soft Actor-Critic*, 2018, appendix C.
    """

    mean: Float[Array, "*batch d"]
    log_std: Float[Array, "*batch d"]
    low: tuple[float, ...] = eqx.field(static=True, converter=bounds)
    high: tuple[float, ...] = eqx.field(static=True, converter=bounds)

    def __check_init__(self):
        dimension = self.mean.shape[-1]
        if not len(self.low) == len(self.high) == dimension:
            raise InputError(
                f"TanhGaussian: low has {len(self.low)} and high {len(self.high)} numbers for {dimension} coordinates; "
                "give one bound for each."
            )
        if not all(-np.inf < low < high < np.inf for low, high in zip(self.low, self.high, strict=True)):
            raise InputError(
                f"TanhGaussian: low is {self.low} and high {self.high}; they must be finite, and low below high. "
                "Use Gaussian where there are no bounds."
            )

    def unsquashed(self) -> Gaussian:
        """The distribution of $u$."""
        return Gaussian(self.mean, self.log_std)

    def sample(self, key: Key[Array, ""]) -> Float[Array, "*batch d"]:
        """Draw one $u$ for each batch entry, differentiable in both parameters."""
        return self.unsquashed().sample(key)

    def sample_and_log_prob(self, key: Key[Array, ""]) -> tuple[Float[Array, "*batch d"], Float[Array, "*batch"]]:
        """Draw the $u$ that `sample` draws with this key, and its log-probability."""
        return self.unsquashed().sample_and_log_prob(key)

    def log_prob(self, action: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
        """$\\log N(u; \\mu, \\mathrm{diag}\\,\\sigma^2)$."""
        return self.unsquashed().log_prob(action)

    def squash(self, action: Float[Array, "*shape d"]) -> Float[Array, "*shape d"]:
        """$a$, within the box."""
        centre, half = self._box(action)
        return centre + half * accurate_tanh(action)

    def unsquash(self, taken: Float[Array, "*shape d"]) -> tuple[Float[Array, "*shape d"], Float[Array, "*shape"]]:
        """$u = \\mathrm{artanh}$ of the rescaled $a$, and $\\sum_i\\log da_i/du_i$ there."""
        centre, half = self._box(taken)
        edge = 1 - float(jnp.finfo(taken.dtype).eps)
        u = jnp.arctanh(jnp.clip((taken - centre) / half, -edge, edge))
        size = jnp.abs(u)
        return u, jnp.sum(jnp.log(half) + 2 * (LOG_TWO - size - jnp.log1p(jnp.exp(-2 * size))), axis=-1)

    def entropy(self) -> Float[Array, "*batch"]:
        """$H(u) + E[\\log da/du]$, the expectation by `mean_log_cosh`: deterministic, within 1e-6 a coordinate."""
        _, half = self._box(self.mean)
        log_slope = jnp.log(half) - 2 * mean_log_cosh(self.mean, jnp.exp(2 * self.log_std))
        return self.unsquashed().entropy() + jnp.sum(log_slope, axis=-1)

    def kl(self, other: "TanhGaussian") -> Float[Array, "*batch"]:
        """The divergence of the two normal distributions: squashing both alike changes nothing."""
        if (self.low, self.high) != (other.low, other.high):
            raise InputError(
                f"TanhGaussian: the boxes {self.low}…{self.high} and {other.low}…{other.high} differ; "
                "a divergence needs two distributions over the same actions."
            )
        return self.unsquashed().kl(other.unsquashed())

    def mode(self) -> Float[Array, "*batch d"]:
        """The mean of $u$; squashed, it is the median of each coordinate of $a$, whose density may peak elsewhere."""
        return self.mean

    def fisher_product(self, tangent: "TanhGaussian") -> "TanhGaussian":
        """$(v_\\mu/\\sigma^2,\\ 2 v_{\\log\\sigma})$, that of the normal distribution, for the same reason as `kl`."""
        product = self.unsquashed().fisher_product(tangent.unsquashed())
        return TanhGaussian(product.mean, product.log_std, self.low, self.high)

    def _box(self, like: Float[Array, "*shape d"]) -> tuple[Float[Array, "*shape d"], Float[Array, "*shape d"]]:
        """The centre of the box and half its width, as constants of the shape and type of an array."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        centre, half = (
            jnp.broadcast_to(jnp.asarray(values, like.dtype), like.shape)
            for values in ((low + high) / 2, (high - low) / 2)
        )
        return centre, half


def accurate_tanh(u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """$\\tanh u$, rounded once where it is close to ±1; XLA's own errs eight times as much there on a CPU.

    It matters where `TanhGaussian.unsquash` has to find u again. The gradient at 0 is 1.

    >>> print(f"{accurate_tanh(jnp.ones(())):.4f}")
    0.7616
    """
    tail = jax.nn.sigmoid(jnp.where(u < 0, 2 * u, -2 * u))
    return jnp.where(u < 0, 2 * tail - 1, 1 - 2 * tail)


def mean_log_cosh(mean: Float[Array, "*shape"], variance: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    r"""$E\log\cosh u$ for $u \sim N(\mu, \sigma^2)$, within 5e-7 for every $\mu$ and $\sigma$.

    $$\log\cosh u = E|u - L| - \log 2, \qquad L = \sum_k w_k\,N(0, s_k^2), \qquad
      E|N(\mu,\tau^2)| = \tau\sqrt{2/\pi}\,e^{-\mu^2/2\tau^2} + \mu\,\mathrm{erf}\frac{\mu}{\tau\sqrt 2}$$

    The first is exact when $L$ has the logistic density $\tfrac12\mathrm{sech}^2$, and a logistic variable is a
    mixture of normal ones, of which five are enough. Gauss–Hermite quadrature with 32 nodes, which costs more, is
    as good only up to $\sigma \approx 1$; at $\sigma = 4$ its error is 1e-2.

    >>> print(f"{mean_log_cosh(jnp.zeros(()), jnp.full((), 4.0)):.4f}")  # at σ = 2
    1.0567

    **Reference** Stefanski, *A Normal Scale Mixture Representation of the Logistic Distribution*, 1991.
    """
    total = jnp.full_like(mean, -LOG_TWO)
    for weight, std in MIXTURE:
        width = jnp.sqrt(variance + std**2)
        ratio = mean / width
        peak = math.sqrt(2 / math.pi) * width * jnp.exp(-0.5 * ratio**2)
        total = total + weight * (peak + mean * jax.lax.erf(math.sqrt(0.5) * ratio))
    return total
