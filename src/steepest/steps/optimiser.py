"""First-order optimisers, from Optax's transformations (S1)."""

import math
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from steepest.core.schedules import Number, fixed
from steepest.core.types import PyTree
from steepest.core.validation import check_number


@runtime_checkable
class Direction(Protocol):
    """A function that makes the Optax transformation from a gradient to a direction."""

    def __call__(self) -> optax.GradientTransformation: ...


def adam() -> optax.GradientTransformation:
    """Adam's direction, with the ε of 10⁻⁵ that policy gradients have used since the first A2C."""
    return optax.scale_by_adam(eps=1e-5)


def root_mean_square() -> optax.GradientTransformation:
    """RMSProp's direction, as in A3C."""
    return optax.scale_by_rms(decay=0.99, eps=1e-5, eps_in_sqrt=True)


class Optimiser(eqx.Module):
    r"""$\Delta = \alpha\,\mathrm{direction}(\mathrm{clip}(g))$, ascending.

    Parameters are one vector here: a few large operations cost less than many small ones.

    **Arguments**

    - `learning_rate`: $\alpha > 0$, or a schedule of it, `Linear(3e-4, 0)` say.
    - `clip_global_norm`: the longest gradient let through; a longer one is shortened as a whole.
    - `direction`: a function that makes the Optax transformation, `adam` by default.
    """

    learning_rate: Number
    clip_global_norm: float | Float[Array, ""] = math.inf
    direction: Direction = eqx.field(static=True, default=adam)

    def __check_init__(self):
        check_number("learning_rate", self.learning_rate, above=0, remedy="3e-4 is usual.")
        check_number(
            "clip_global_norm", self.clip_global_norm, above=0, infinite=True, remedy="0.5 is usual; inf never clips."
        )

    def init(self, parameters: Float[Array, " P"]) -> PyTree:
        """Optax's state before the first step."""
        return self._transformation(1.0).init(parameters)

    def apply(
        self, parameters: Float[Array, " P"], gradient: Float[Array, " P"], state: PyTree
    ) -> tuple[Float[Array, " P"], PyTree, Float[Array, ""]]:
        """Move the parameters once; returns the norm of the gradient before clipping too."""
        rate = fixed("learning_rate", self.learning_rate)
        with jax.numpy_dtype_promotion("standard"):  # Optax counts steps in whole numbers and divides by them
            change, state = self._transformation(rate).update(gradient, state, parameters)
        return parameters + jnp.asarray(change), state, jnp.sqrt(jnp.sum(jnp.square(gradient)))

    def _transformation(self, rate: float | Float[Array, ""]) -> optax.GradientTransformation:
        # The same links whatever the numbers, so that the state has one shape: numbers may be traced.
        return optax.chain(optax.clip_by_global_norm(self.clip_global_norm), self.direction(), optax.scale(rate))
