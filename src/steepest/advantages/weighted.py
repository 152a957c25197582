"""From an advantage to the weight of a score: less a baseline, times the factor of the state (G5, G6)."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from steepest.advantages.advantage import AbstractAdvantage
from steepest.advantages.baselines import AbstractBaseline
from steepest.advantages.discounting import state_discount
from steepest.advantages.monte_carlo import WholeReturn
from steepest.core.errors import InputError
from steepest.core.trajectory import Estimates, Trajectory


class Weighted(AbstractAdvantage):
    r"""$[\gamma^t]\,(\hat A_t - b)$ in place of $\hat A_t$, for streams that begin with their episodes.

    **Arguments**

    - `advantage`: the estimator $\hat A$.
    - `discount`: $\gamma$, per step.
    - `baseline`: $b$; `None` for 0.
    - `discount_states`: the switch of G5. True puts in the factor $\gamma^t$, which makes the gradient that of J; False
      leaves it out. The whole return is discounted from the start as it is, and takes no factor.

    **Raises** `InputError` for the whole return with `discount_states` off.
    """

    advantage: AbstractAdvantage
    discount: float | Float[Array, ""]
    baseline: AbstractBaseline | None = None
    discount_states: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        if isinstance(self.advantage, WholeReturn) and not self.discount_states:
            raise InputError(
                "discount_states is False; the whole return is discounted from the start of the episode in any case. "
                "Leave it True, or take the reward-to-go."
            )

    def __call__(
        self, trajectory: Trajectory, value: Float[Array, "T N"], next_value: Float[Array, "T N"]
    ) -> Estimates:
        estimates = self.advantage(trajectory, value, next_value)
        weight = estimates.advantage
        if self.baseline is not None:
            weight = weight - self.baseline(weight, trajectory.valid)
        if self.discount_states and not isinstance(self.advantage, WholeReturn):
            ended = jnp.logical_or(trajectory.terminated, trajectory.truncated)
            weight = weight * state_discount(ended, self.discount)
        return Estimates(weight, estimates.value_target)
