"""From a gradient to a change of parameters, through Optax (S1)."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from steepest.core.types import PyTree
from steepest.core.validation import check_number


def adam() -> optax.GradientTransformation:
    """Adam's direction, with the ε of 10⁻⁵ that policy gradients have used since the first A2C."""
    return optax.scale_by_adam(eps=1e-5)


def root_mean_square() -> optax.GradientTransformation:
    """RMSProp's direction, as in A3C."""
    return optax.scale_by_rms(decay=0.99, eps=1e-5, eps_in_sqrt=True)


class OptimiserState(eqx.Module):
    """`direction`: Optax's state. `updates`: calls of the step rule so far, which the annealing counts."""

    direction: PyTree
    updates: Int[Array, ""]


class Optimiser(eqx.Module):
    r"""$\Delta = \alpha_k\,\mathrm{direction}(\mathrm{clip}(g))$, ascending.

    Parameters are one vector here: a few large operations cost less than many small ones.

    **Arguments**

    - `learning_rate`: $\alpha_0 > 0$.
    - `anneal_over`: $\alpha_k$ falls linearly from $\alpha_0$ to 0 over so many updates; infinite keeps it constant.
    - `clip_global_norm`: the longest gradient let through; a longer one is shortened as a whole.
    - `direction`: a function that makes the Optax transformation, `adam` by default.
    """

    learning_rate: float | Float[Array, ""]
    anneal_over: float | Float[Array, ""] = math.inf
    clip_global_norm: float | Float[Array, ""] = math.inf
    direction: Callable[[], optax.GradientTransformation] = eqx.field(static=True, default=adam)

    def __check_init__(self):
        check_number("learning_rate", self.learning_rate, above=0, remedy="3e-4 is usual.")
        check_number(
            "clip_global_norm", self.clip_global_norm, above=0, infinite=True, remedy="0.5 is usual; inf never clips."
        )

    def init(self, parameters: Float[Array, " P"]) -> OptimiserState:
        """The state before the first update."""
        return OptimiserState(self.direction().init(parameters), jnp.zeros((), jnp.int32))

    def apply(
        self, parameters: Float[Array, " P"], gradient: Float[Array, " P"], state: OptimiserState
    ) -> tuple[Float[Array, " P"], OptimiserState, Float[Array, ""]]:
        """Move the parameters once; returns the norm of the gradient before clipping too."""
        norm = jnp.sqrt(jnp.sum(jnp.square(gradient)))
        shorten = jnp.minimum(1.0, self.clip_global_norm / jnp.where(norm == 0, 1, norm))
        left = jnp.maximum(0.0, 1 - state.updates.astype(parameters.dtype) / self.anneal_over)
        with jax.numpy_dtype_promotion("standard"):  # Optax counts steps in whole numbers and divides by them
            change, inner = self.direction().update(gradient * shorten, state.direction, parameters)
        moved = parameters + self.learning_rate * left * jnp.asarray(change)
        return moved, OptimiserState(inner, state.updates), norm

    def finish(self, state: OptimiserState) -> OptimiserState:
        """Count one update, however many times the parameters moved in it."""
        return OptimiserState(state.direction, state.updates + 1)
