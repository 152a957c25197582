"""Gradient ascent with first-order optimisers, on everything at once or on minibatches (S1; S7)."""

import functools
import math
from typing import ClassVar, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, Key

from steepest.core.interfaces import AbstractStepRule
from steepest.core.problem import AbstractMaximisation, Info, Parameters, with_kl
from steepest.core.schedules import Number, fixed
from steepest.core.types import PyTree
from steepest.core.validation import check_number
from steepest.steps.shuffle import shuffled


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


class Ascent(AbstractStepRule):
    """One step along the gradient of the whole problem.

    `info` holds the problem's own, the `objective` before the step and the `gradient_norm` before clipping.
    """

    optimiser: Optimiser

    def init(self, parameters: PyTree) -> PyTree:
        return self.optimiser.init(ravel_pytree(parameters)[0])

    def step(
        self, key: Key[Array, ""], parameters: Parameters, problem: AbstractMaximisation, state: PyTree
    ) -> tuple[Parameters, PyTree, Info]:
        vector, unravel = ravel_pytree(parameters)
        gradient, info = problem.gradient(parameters)
        vector, state, norm = self.optimiser.apply(vector, ravel_pytree(gradient)[0], state)
        return unravel(vector), state, info | {"gradient_norm": norm}


class RepeatedAscent(AbstractStepRule):
    """Several steps along the gradient of the whole problem, computed anew for each.

    For problems whose number of rows is not known in advance, as that of whole episodes is not, minibatches could not
    divide them. `info` is that of the last step.
    """

    needs_surrogate: ClassVar[bool] = True

    optimiser: Optimiser
    repeats: int = eqx.field(static=True)

    def __check_init__(self):
        check_number("repeats", self.repeats, at_least=1, whole=True, remedy="20 is usual.")

    def init(self, parameters: PyTree) -> PyTree:
        return self.optimiser.init(ravel_pytree(parameters)[0])

    def step(
        self, key: Key[Array, ""], parameters: Parameters, problem: AbstractMaximisation, state: PyTree
    ) -> tuple[Parameters, PyTree, Info]:
        vector, unravel = ravel_pytree(parameters)

        def once(carry, _):
            vector, state = carry
            gradient, info = problem.gradient(unravel(vector))
            vector, state, norm = self.optimiser.apply(vector, ravel_pytree(gradient)[0], state)
            return (vector, state), info | {"gradient_norm": norm}

        (vector, state), infos = jax.lax.scan(once, (vector, state), length=self.repeats)
        return unravel(vector), state, jax.tree.map(lambda leaf: leaf[-1], infos)


class MinibatchAscent(AbstractStepRule):
    """Several passes over the rows, a step for each minibatch, until the policy has moved far enough.

    Minibatches are of rows; or of whole streams, where the problem's rows must stay in the order of time, as those of a
    policy with memory must.

    **Arguments**

    - `epochs`: passes over the rows, at least 1.
    - `minibatch_size`: rows in a step; must divide the rows, and be a multiple of those of a stream that stays whole.
    - `sequence_length`: cut streams that stay whole into sequences of so many rows, for minibatches of those. They
      begin with the memory that the parameters had there before the step. None for whole streams.
    - `recompute_memory`: before every pass, compute anew what sequences begin with, with the parameters as they are.
      What the streams themselves begin with stays: what came before it is not among the rows.
    - `kl_stop`: no further pass once KL(old ‖ new), measured after each pass over all rows, exceeds this, in nats.
      Infinite never stops, and then a problem without a KL will do.

    `info` holds the problem's own, the `objective` and the `gradient_norm`, averaged over the minibatches of the last
    pass, and the number of `epochs` made.
    """

    needs_surrogate: ClassVar[bool] = True

    optimiser: Optimiser
    epochs: int = eqx.field(static=True)
    minibatch_size: int = eqx.field(static=True)
    kl_stop: float = eqx.field(static=True, default=math.inf)
    sequence_length: int | None = eqx.field(static=True, default=None)
    recompute_memory: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_number("epochs", self.epochs, at_least=1, whole=True, remedy="4 to 10 are usual.")
        check_number("minibatch_size", self.minibatch_size, at_least=1, whole=True, remedy="64 to 512 are usual.")
        check_number("kl_stop", self.kl_stop, above=0, infinite=True, remedy="0.02 is usual; inf never stops.")

    def init(self, parameters: PyTree) -> PyTree:
        return self.optimiser.init(ravel_pytree(parameters)[0])

    def step(
        self, key: Key[Array, ""], parameters: Parameters, problem: AbstractMaximisation, state: PyTree
    ) -> tuple[Parameters, PyTree, Info]:
        if problem.size % self.minibatch_size:
            raise ValueError(
                f"minibatch_size is {self.minibatch_size}; it must divide the {problem.size} rows of the problem. "
                f"Choose a divisor."
            )

        first = self._in_sequences(problem, parameters)
        if first.streams is not None and self.minibatch_size % (first.size // first.streams):
            raise ValueError(
                f"minibatch_size is {self.minibatch_size}; in whole streams it must be a multiple of their "
                f"{first.size // first.streams} rows. Choose one."
            )
        vector, unravel = ravel_pytree(parameters)

        def minibatch(some, carry, indices):
            vector, state = carry
            gradient, info = some.minibatch(indices).gradient(unravel(vector))
            vector, state, norm = self.optimiser.apply(vector, ravel_pytree(gradient)[0], state)
            return (vector, state), info | {"gradient_norm": norm}

        def epoch(index, carry):
            now = self._in_sequences(problem, unravel(carry[0])) if self.recompute_memory else first
            rows = self._rows(jax.random.fold_in(key, index), now)
            carry, infos = jax.lax.scan(functools.partial(minibatch, now), carry, rows)
            return carry, jax.tree.map(jnp.mean, infos)

        (vector, state), info, epochs = self._repeat(epoch, (vector, state), problem, unravel)
        return unravel(vector), state, info | {"epochs": epochs}

    def _in_sequences(self, problem: AbstractMaximisation, parameters: PyTree) -> AbstractMaximisation:
        return problem if self.sequence_length is None else problem.in_sequences(parameters, self.sequence_length)

    def _rows(self, key: Key[Array, ""], problem: AbstractMaximisation) -> Int[Array, "minibatches rows"]:
        """The rows of every minibatch of one pass, in a random order of rows or of streams."""
        if problem.streams is None:
            return shuffled(key, problem.size).reshape(-1, self.minibatch_size)
        length = problem.size // problem.streams
        streams = shuffled(key, problem.streams).reshape(-1, 1, self.minibatch_size // length)
        times = jnp.arange(length, dtype=jnp.int32)[None, :, None]
        return (times * problem.streams + streams).reshape(-1, self.minibatch_size)

    def _repeat(self, epoch, carry, problem: AbstractMaximisation, unravel):
        blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(epoch, 0, carry)[1])
        if math.isinf(self.kl_stop):
            carry, info = jax.lax.fori_loop(0, self.epochs, lambda index, loop: epoch(index, loop[0]), (carry, blank))
            return carry, info, jnp.asarray(self.epochs, jnp.float32)
        policy_problem = with_kl(problem)

        def goes_on(loop) -> Array:
            index, _, _, kl = loop
            return (index < self.epochs) & (kl <= self.kl_stop)

        def once_more(loop):
            index, carry, _, _ = loop
            carry, info = epoch(index, carry)
            return index + 1, carry, info, policy_problem.kl(unravel(carry[0]))

        start: tuple = (jnp.zeros((), jnp.int32), carry, blank, jnp.zeros((), jnp.float32))
        index, carry, info, _ = jax.lax.while_loop(goes_on, once_more, start)
        return carry, info, index.astype(jnp.float32)
