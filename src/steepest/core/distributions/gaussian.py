"""The normal distribution with independent coordinates."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.distributions.abstract import AbstractDistribution
from steepest.core.errors import InputError

LOG_TWO_PI = math.log(2 * math.pi)


class Gaussian(AbstractDistribution["Gaussian"]):
    r"""d independent normal coordinates (G18).

    $$\log\pi(a) = -\tfrac12\sum_i\Big[\Big(\frac{a_i-\mu_i}{\sigma_i}\Big)^2 + 2\log\sigma_i + \log 2\pi\Big], \qquad
      \nabla_\mu\log\pi = \Sigma^{-1}(a-\mu), \qquad
      F = \mathrm{diag}\big(\sigma_i^{-2},\ 2\big)$$

    The metric's second block is that of $\log\sigma$, which is learned too.

    **Arguments**

    - `mean`: $\mu$, [*batch, d], in the unit of the action.
    - `log_std`: $\log\sigma$, of the same shape. Broadcast a $\log\sigma$ that does not depend on the observation.

    Actions are unbounded, [*batch, d].

    **Example**

    >>> policy = Gaussian(mean=jnp.array([1.0]), log_std=jnp.array([0.0]))
    >>> print(f"{policy.log_prob(jnp.array([3.0])):.4f}")  # −2 − ½ log 2π
    -2.9189
    >>> jax.grad(lambda each: each.log_prob(jnp.array([3.0])))(policy).mean
    Array([2.], dtype=float32)

    **Reference** Williams, *Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning*,
    1992, section 6; the metric: Amari, *Natural Gradient Works Efficiently in Learning*, 1998.
    """

    mean: Float[Array, "*batch d"]
    log_std: Float[Array, "*batch d"]

    def __check_init__(self):
        if self.mean.shape != self.log_std.shape:
            raise InputError(
                f"Gaussian: log_std has shape {self.log_std.shape} and mean {self.mean.shape}; they must be equal. "
                "Give jnp.broadcast_to(log_std, mean.shape)."
            )

    def sample(self, key: Key[Array, ""]) -> Float[Array, "*batch d"]:
        """Draw $\\mu + \\sigma\\varepsilon$ for each batch entry, differentiable in both parameters."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape, self.mean.dtype)

    def sample_and_log_prob(self, key: Key[Array, ""]) -> tuple[Float[Array, "*batch d"], Float[Array, "*batch"]]:
        """Draw the action that `sample` draws with this key, and the log-probability of the action as it is stored.

        A compiler that fuses the two may judge an action before it is rounded: at a mean of 30 and a σ of 0.01 that is
        enough to change the ratio of the policy to itself by 1e-4.
        """
        action = jax.lax.optimization_barrier(self.sample(key))
        return action, self.log_prob(action)

    def log_prob(self, action: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
        """$\\log N(a; \\mu, \\mathrm{diag}\\,\\sigma^2)$."""
        standard = (action - self.mean) * jnp.exp(-self.log_std)
        return -0.5 * jnp.sum(standard**2 + 2 * self.log_std + LOG_TWO_PI, axis=-1)

    def entropy(self) -> Float[Array, "*batch"]:
        """$\\sum_i \\log\\sigma_i + \\tfrac12\\log 2\\pi e$."""
        return jnp.sum(self.log_std + 0.5 * (1 + LOG_TWO_PI), axis=-1)

    def kl(self, other: "Gaussian") -> Float[Array, "*batch"]:
        """$\\sum_i \\log\\frac{\\sigma'_i}{\\sigma_i} + \\frac{\\sigma_i^2 + (\\mu_i-\\mu'_i)^2}{2\\sigma'^2_i} - ½$.

        With $d = 2\\log(\\sigma/\\sigma')$ this is half the sum of $e^d - 1 - d$ and a square, none of them negative.
        """
        change = 2 * (self.log_std - other.log_std)
        standard = (self.mean - other.mean) * jnp.exp(-other.log_std)
        return 0.5 * jnp.sum(jnp.expm1(change) - change + standard**2, axis=-1)

    def mode(self) -> Float[Array, "*batch d"]:
        """The mean."""
        return self.mean

    def fisher_product(self, tangent: "Gaussian") -> "Gaussian":
        """$(v_\\mu/\\sigma^2,\\ 2 v_{\\log\\sigma})$."""
        return Gaussian(mean=tangent.mean * jnp.exp(-2 * self.log_std), log_std=2 * tangent.log_std)
