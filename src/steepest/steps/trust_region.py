"""The trust region: the natural direction, and a step that was measured (S4)."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.interfaces import AbstractStepRule
from steepest.core.problem import AbstractMaximisation, Info, Parameters, with_kl
from steepest.core.schedules import Number, fixed
from steepest.core.types import PyTree
from steepest.core.validation import check_number
from steepest.curvature import NaturalDirection
from steepest.steps.natural import Departure

ACCEPTED, NO_GAIN, TOO_FAR, NOT_FINITE = 0, 1, 2, 3
"""The `verdict` in `info`: what became of the step, and for a failure what was wrong with the last one tried."""


class TrustRegion(AbstractStepRule):
    r"""The natural gradient's direction and length, then backtracking: $\Delta, \beta\Delta, \beta^2\Delta, \dots$,
    until the surrogate has improved and the measured KL(old ‖ new) is at most $\epsilon$.

    When no step will do, the old parameters come back, bit for bit.

    **Arguments**

    - `radius`: $\epsilon > 0$, in nats.
    - `direction`: how F is made and inverted.
    - `backtracks`: how many shorter steps are tried after the first.
    - `shrink`: $\beta$, between 0 and 1.
    - `reverse_kl`: constrain KL(new ‖ old) in place of KL(old ‖ new).

    `info` holds what `Natural` says, `backtracks`, and the `verdict`: 0 accepted; for a failure 1 where the last step
    tried did not improve the surrogate, 2 where its KL was too large, 3 where either was not finite.

    **Reference** Schulman et al., *Trust Region Policy Optimization*, 2015, appendix C.
    """

    needs_surrogate: ClassVar[bool] = True

    radius: Number
    direction: NaturalDirection = NaturalDirection()
    backtracks: int = eqx.field(static=True, default=10)
    shrink: float | Float[Array, ""] = 0.5
    reverse_kl: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_number("kl radius", self.radius, above=0, remedy="0.01 is usual.")
        check_number("backtracks", self.backtracks, at_least=0, whole=True, remedy="10 is usual.")
        check_number("shrink", self.shrink, above=0, at_most=0.99, remedy="0.5 to 0.8 are usual.")

    def init(self, parameters: PyTree) -> None:
        return None

    def step(
        self, key: Key[Array, ""], parameters: Parameters, problem: AbstractMaximisation, state: None
    ) -> tuple[Parameters, None, Info]:
        problem = with_kl(problem)
        start = Departure.of(self.direction, problem, parameters)
        vector, found = start.vector, start.found
        radius = fixed("kl radius", self.radius)
        full = found.length(radius)

        def measured(length) -> tuple[Array, Array, Array]:
            candidate = start.unravel(vector + length * found.x)
            gain = problem.evaluate(candidate)[0] - start.info["objective"]
            kl = problem.kl(candidate, reverse=self.reverse_kl)
            finite = jnp.isfinite(gain) & jnp.isfinite(kl)
            wrong = jnp.where(kl > radius, TOO_FAR, jnp.where(gain > 0, ACCEPTED, NO_GAIN))
            return jnp.where(finite, wrong, NOT_FINITE), gain, kl

        def goes_on(loop) -> Array:
            tried, (verdict, _, _) = loop
            return (verdict != ACCEPTED) & (tried <= self.backtracks)

        def shorter(loop):
            tried, _ = loop
            return tried + 1, measured(full * jnp.asarray(self.shrink, full.dtype) ** tried.astype(full.dtype))

        one = jnp.ones((), jnp.int32)
        tried, (verdict, gain, kl) = jax.lax.while_loop(goes_on, shorter, (one, measured(full)))
        accepted = verdict == ACCEPTED
        backtracks = (tried - 1).astype(full.dtype)
        length = jnp.where(accepted, full * jnp.asarray(self.shrink, full.dtype) ** backtracks, 0)
        # Not vector + 0 × x: where x is not finite, that would not be the old parameters.
        moved = jnp.where(accepted, vector + length * found.x, vector)
        info = start.report(length, jnp.where(accepted, kl, 0), jnp.where(accepted, gain, 0))
        return (
            start.unravel(moved),
            None,
            info | {"backtracks": backtracks, "verdict": verdict.astype(full.dtype)},
        )
