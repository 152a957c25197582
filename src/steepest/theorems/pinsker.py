"""T4: Pinsker's inequality."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from steepest.core.distributions import Categorical, Gaussian
from steepest.core.types import AnyArray, PyTree
from steepest.oracles import in_float64
from steepest.theorems.claims import Claim, Result

ACTIONS = 5


def pinsker(seed: int = 0, instances: int | None = None) -> Result:
    r"""T4: $TV(p, q) \le \sqrt{KL(p\,\|\,q)/2}$, in nats.

    Measured is the largest ratio of the two sides. Two nearly equal and nearly even coins come close to 1.

    **Reference** Tsybakov, *Introduction to Nonparametric Estimation*, 2009, lemma 2.5.
    """
    count, rng = instances or 1000, np.random.default_rng(seed)
    logits = rng.normal(scale=2, size=(2, count, ACTIONS))
    nearness = 10 ** rng.uniform(-3, 0, (count, 1))
    logits[1] = (1 - nearness) * logits[0] + nearness * logits[1]
    mean = rng.normal(size=(2, count)) * 10 ** rng.uniform(-2, 1, count)
    log_std = rng.normal(size=(2, count))
    coins = np.stack([np.zeros((1, 2)), [[0.0, 1e-2]]])
    claims = (
        Claim("largest TV / √(KL/2), categorical", _categorical(logits).max(), 1.0),
        Claim("largest TV / √(KL/2), Gaussian", _gaussian(mean, log_std).max(), 1.0),
        Claim("the same for two coins that are nearly alike", _categorical(coins).max(), 0.999, "≥"),
    )
    return Result("T4", "TV(p, q) ≤ √(KL(p‖q) / 2)", count, claims)


@in_float64()
def _categorical(logits) -> PyTree:
    old, new = Categorical(logits[0]), Categorical(logits[1])
    variation = 0.5 * jnp.sum(jnp.abs(jax.nn.softmax(old.logits) - jax.nn.softmax(new.logits)), axis=-1)
    return variation / jnp.sqrt(old.kl(new) / 2)


@in_float64()
def _gaussian(mean, log_std) -> PyTree:
    old, new = (Gaussian(mean[index][:, None], log_std[index][:, None]) for index in (0, 1))
    variation = gaussian_total_variation(mean, jnp.exp(log_std))
    return variation / jnp.sqrt(old.kl(new) / 2)


def gaussian_total_variation(mean: Float[AnyArray, "2 B"], std: Float[AnyArray, "2 B"]) -> Float[AnyArray, " B"]:
    """The total variation of normal distributions of different σ; their densities cross at the roots of a quadratic."""
    precision = 1 / std**2
    square = (precision[1] - precision[0]) / 2
    linear = mean[0] * precision[0] - mean[1] * precision[1]
    constant = (mean[1] ** 2 * precision[1] - mean[0] ** 2 * precision[0]) / 2 + jnp.log(std[1] / std[0])
    # The form of the roots that subtracts nothing from its like.
    larger = -(linear + jnp.sign(linear) * jnp.sqrt(linear**2 - 4 * square * constant)) / 2
    crossings = jnp.sort(jnp.stack([larger / square, constant / larger]), axis=0)
    below = jax.scipy.special.ndtr((crossings[:, None] - mean[None]) / std[None])  # [crossing, distribution, B]
    ends = jnp.concatenate([jnp.zeros_like(below[:1]), below, jnp.ones_like(below[:1])])
    pieces = jnp.diff(ends, axis=0)
    return 0.5 * jnp.sum(jnp.abs(pieces[:, 0] - pieces[:, 1]), axis=0)
