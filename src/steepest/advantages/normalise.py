"""Standardise advantages, so that a step size means the same whatever the unit of reward."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def normalise(advantage: Float[Array, "*rows"], valid: Bool[Array, "*rows"]) -> Float[Array, "*rows"]:
    """$(A - \\bar A) / (\\sigma_A + 10^{-8})$ with the moments of the valid rows.

    A single row, or rows all alike, become 0: there is nothing to prefer among them.

    >>> normalise(jnp.array([1.0, 3.0, 99.0]), jnp.array([True, True, False]))[:2]
    Array([-1.,  1.], dtype=float32)
    """
    # Measured from one of them, so that the rounding of a mean of equal numbers does not become a preference.
    largest = jnp.max(jnp.where(valid, advantage, -jnp.inf))
    advantage = advantage - jnp.where(jnp.any(valid), largest, 0)
    weight = valid.astype(advantage.dtype)
    share = weight / jnp.maximum(jnp.sum(weight), 1)
    mean = jnp.sum(advantage * share)
    variance = jnp.sum(jnp.square(advantage - mean) * share)
    return (advantage - mean) / (jnp.sqrt(variance) + 1e-8)
