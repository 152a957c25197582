"""The terms that entropies and divergences of discrete distributions are sums of."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def entropy_terms(log_p: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """$-p\\log p$, and 0 where p = 0, with the gradient 0 there too.

    >>> print(f"{entropy_terms(jnp.log(jnp.array([0.5, 0.5, 0.0]))).sum():.4f}")  # log 2
    0.6931
    """
    p = jnp.exp(log_p)
    return -p * jnp.where(p < jnp.finfo(p.dtype).tiny, 0, log_p)  # NaN is not below anything: it stays


def kl_terms(log_p: Float[Array, "*shape"], log_q: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """$p\\log(p/q) - p + q$. Over all outcomes they sum to KL(p ‖ q), as p and q both sum to 1.

    Written with $d = \\log q - \\log p$ as $p\\,(e^d - 1 - d)$, no term is negative, and close to p = q the error is
    of the order of the divergence itself and not of the logarithms: this is what a trust region measures.
    Where p = 0 the term is q; where q = 0 < p it is infinite.

    >>> print(f"{kl_terms(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))).sum():.4f}")
    0.1438
    """
    p = jnp.exp(log_p)
    impossible = p < jnp.finfo(p.dtype).tiny
    change = jnp.where(impossible, 0, log_q - log_p)
    return jnp.where(impossible, jnp.exp(log_q), p * (jnp.expm1(change) - change))
