"""Repeated gradient estimates."""

import time
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from steepest.core.errors import NonFiniteError
from steepest.core.interfaces import Policy
from steepest.core.problem import Info
from steepest.core.types import PyTree
from steepest.core.validation import check_number
from steepest.estimators import AbstractEstimator, AbstractRollouts


class GradientSamples(eqx.Module):
    """Independent estimates of one gradient.

    - `gradients`: shaped like the policy, with a leading axis of repeats on every leaf.
    - `info`: the estimator's diagnostics of each repeat, [repeats], among them the environment `steps`.
    """

    gradients: PyTree
    info: Info

    @property
    def matrix(self) -> Float[np.ndarray, "R P"]:
        """The gradients as one row for each repeat, in the order of `ravel_pytree`."""
        return np.asarray(jax.vmap(lambda each: ravel_pytree(each)[0])(self.gradients))

    @property
    def mean(self) -> PyTree:
        """The mean over repeats, shaped like the policy."""
        return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), self.gradients)

    @property
    def standard_error(self) -> PyTree:
        """The standard error of `mean`, coordinate by coordinate; NaN for a single repeat."""
        repeats = self.matrix.shape[0]
        divisor = max(repeats - 1, 1) * repeats
        return jax.tree.map(
            lambda leaf: (
                jnp.sqrt(jnp.sum(jnp.square(leaf - jnp.mean(leaf, 0, keepdims=True)), 0) / divisor)
                + (jnp.nan if repeats < 2 else 0.0)
            ),
            self.gradients,
        )


def repeat_compiled(
    estimator: AbstractEstimator,
    policy: Policy,
    rollouts: AbstractRollouts,
    key: Key[Array, ""],
    *,
    episodes: int,
    repeats: int,
) -> GradientSamples:
    """Compute `repeats` estimates in one compiled program, one after another."""

    @jax.jit
    def all_of_them(policy, keys):
        def one(key):
            return estimator.gradient(policy, estimator.collect(key, policy, rollouts, episodes))

        return jax.lax.map(one, keys)

    gradients, info = all_of_them(policy, jax.random.split(key, repeats))
    return _checked(GradientSamples(gradients, info))


def repeat_on_host(
    estimator: AbstractEstimator,
    policy: Policy,
    rollouts: AbstractRollouts,
    key: Key[Array, ""],
    *,
    episodes: int,
    repeats: int,
) -> GradientSamples:
    """Compute `repeats` estimates from environments on the host; only `gradient` is compiled."""
    gradient = jax.jit(lambda policy, data: estimator.gradient(policy, data))
    samples = [
        gradient(policy, estimator.collect(each, policy, rollouts, episodes)) for each in jax.random.split(key, repeats)
    ]
    gradients, info = jax.tree.map(lambda *each: jnp.stack(each), *samples)
    return _checked(GradientSamples(gradients, info))


def one_by_one(
    estimator: AbstractEstimator,
    policy: Policy,
    rollouts: AbstractRollouts,
    key: Key[Array, ""],
    *,
    episodes: int,
    repeats: int,
    advance: Callable[[], None],
) -> tuple[GradientSamples, float]:
    """Compute `repeats` estimates one call at a time, and the mean seconds of one without compiling.

    **Arguments**

    - `advance`: called after each.
    """
    # Playing is a program of its own, which estimators share; compiled together with it, each would wait for it anew.
    gradient = jax.jit(lambda policy, data: estimator.gradient(policy, data))

    def one(key):
        return gradient(policy, estimator.collect(key, policy, rollouts, episodes))

    # Whatever is compiled on the way is compiled by an estimate that does not count.
    jax.block_until_ready(one(jax.random.fold_in(key, repeats)))
    samples, seconds = [], 0.0
    for each in jax.random.split(key, repeats):
        begin = time.perf_counter()
        samples.append(jax.device_get(one(each)))
        seconds += time.perf_counter() - begin
        advance()
    gradients, info = jax.tree.map(lambda *each: jnp.asarray(np.stack(each)), *samples)
    return _checked(GradientSamples(gradients, info)), seconds / repeats


def check_sizes(episodes: int, repeats: int) -> None:
    """Refuse counts below 1."""
    check_number("episodes", episodes, at_least=1, at_most=10**6, whole=True, remedy="100 is usual.")
    check_number("repeats", repeats, at_least=1, at_most=10**6, whole=True, remedy="30 is usual.")


def _checked(samples: GradientSamples) -> GradientSamples:
    bad = np.flatnonzero(~np.isfinite(samples.matrix).all(axis=1))
    if bad.size:
        raise NonFiniteError(f"the gradient of repeat {bad[0]} is not finite. Look at rewards and log-probabilities.")
    return samples
