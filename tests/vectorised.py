"""The functions of compiled environments over a batch, compiled once for all tests of one environment."""

import functools

import jax


@functools.cache
def vectorised(env):
    """`initial`, `observe`, and `step` with one key for all."""
    key = jax.random.key(0)
    return (
        jax.jit(jax.vmap(env.initial)),
        jax.jit(jax.vmap(env.observe)),
        jax.jit(jax.vmap(lambda state, action: env.step(key, state, action))),
    )
