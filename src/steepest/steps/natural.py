"""The natural gradient (S3)."""

from collections.abc import Callable
from typing import Generic

import equinox as eqx
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from steepest.core.errors import InputError
from steepest.core.interfaces import AbstractStepRule
from steepest.core.problem import AbstractMaximisation, AbstractProblem, Info, Parameters, with_kl
from steepest.core.schedules import Number, fixed
from steepest.core.types import PyTree
from steepest.core.validation import check_number
from steepest.curvature import Direction, NaturalDirection


class Departure(eqx.Module, Generic[Parameters]):
    """Where a natural step starts, and which way it goes.

    - `vector`, `unravel`: the parameters in a line, and back.
    - `found`: the direction, and what it predicts.
    - `info`: the problem's own, with the `objective`, the `gradient_norm`, and what the direction says.
    """

    vector: Float[Array, " P"]
    unravel: Callable[[Array], Parameters] = eqx.field(static=True)
    found: Direction
    info: Info

    @classmethod
    def of(
        cls, direction: NaturalDirection, problem: AbstractProblem[Parameters], parameters: Parameters
    ) -> "Departure[Parameters]":
        """The gradient of the problem, and the direction for it."""
        vector, unravel = ravel_pytree(parameters)
        tree, info = problem.gradient(parameters)
        gradient = ravel_pytree(tree)[0]
        found = direction(problem, parameters, gradient)
        norm = jnp.sqrt(jnp.sum(jnp.square(gradient)))
        return cls(vector, unravel, found, info | found.info | {"gradient_norm": norm})

    def report(self, length: Array, kl: Array, gain: Array) -> Info:
        """`info`, with what a step of `length` was predicted to do, and what was measured."""
        return self.info | {
            "predicted_kl": 0.5 * jnp.square(length) * self.found.curvature,
            "measured_kl": kl,
            "predicted_gain": length * self.found.slope,
            "measured_gain": gain,
        }


class Natural(AbstractStepRule):
    r"""$\max g^\top\Delta$ subject to $\tfrac12\Delta^\top F\Delta \le \epsilon$, so
    $\Delta = \sqrt{2\epsilon / (g^\top F^{-1} g)}\;F^{-1}g$; or $\Delta = \alpha F^{-1}g$ with an α of one's own.

    The same step, as a change of the policy, in whatever parameters the policy is written.

    **Arguments**

    - `radius`: $\epsilon > 0$, in nats: the KL that the step has to second order.
    - `learning_rate`: $\alpha > 0$, in place of a radius. Exactly one of the two must be given.
    - `direction`: how F is made and inverted.
    - `reverse_kl`: report KL(new ‖ old) in place of KL(old ‖ new). To second order they are the same.

    `info` holds the problem's own, the `objective` before the step, the `gradient_norm`, `predicted_kl` and
    `measured_kl`, `predicted_gain` and `measured_gain` of the objective, and what the direction says.

    **Reference** Kakade, *A Natural Policy Gradient*, 2001; Peters and Schaal, *Natural Actor-Critic*, 2008.
    """

    radius: Number | None = None
    learning_rate: float | Float[Array, ""] | None = None
    direction: NaturalDirection = NaturalDirection()
    reverse_kl: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if (self.radius is None) == (self.learning_rate is None):
            raise InputError(
                f"radius is {self.radius} and learning_rate is {self.learning_rate}; exactly one of them sets the "
                f"length of the step. Give radius=0.01, say, and leave out the other."
            )
        check_number("kl radius", self.radius, above=0, remedy="0.01 is usual.")
        check_number("learning_rate", self.learning_rate, above=0, remedy="0.1 is usual.")

    def init(self, parameters: PyTree) -> None:
        return None

    def step(
        self, key: Key[Array, ""], parameters: Parameters, problem: AbstractMaximisation, state: None
    ) -> tuple[Parameters, None, Info]:
        problem = with_kl(problem)
        start = Departure.of(self.direction, problem, parameters)
        if self.radius is not None:
            length = start.found.length(fixed("kl radius", self.radius))
        else:
            length = jnp.asarray(self.learning_rate)
        moved = start.unravel(start.vector + length * start.found.x)
        gain = problem.evaluate(moved)[0] - start.info["objective"]
        return moved, None, start.report(length, problem.kl(moved, reverse=self.reverse_kl), gain)
