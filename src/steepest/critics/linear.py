"""The linear baseline: a value function fitted by least squares on features of observation and time (C7)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from steepest.core.problem import weighted_mean
from steepest.core.spaces import Box, Space, without_mask
from steepest.core.types import AnyArray, PyTree
from steepest.core.validation import check_number
from steepest.critics.time_dependent import AbstractTimeDependentValue, inside
from steepest.networks import feature_count, features

_LARGEST = 10.0
"""Observations are clipped so many deviations off their mean, since their squares would dominate the fit."""


class LinearValue(AbstractTimeDependentValue):
    r"""A linear value function $V(s,t) = b + w^\top\phi(s,t)$, fitted in closed form by ridge regression.

    $$\phi(s,t) = \big(f(s),\ P_1(x),\ P_2(x),\ P_3(x)\big), \qquad x = 2t/H - 1$$

    $f$ is one-hot for choices. For a `Box` it is $z$ and $z^2$, where $z$ is the observation in deviations from the
    mean of the rows of the fit, clipped to ±10. $P_k$ are Legendre's polynomials. So the functions are those of the
    usual features $(o, o^2, t, t^2, t^3, 1)$, but in a basis in which float32 is enough, whatever the units are.

    The value is that of the rewards before the horizon: from step H on it is 0. It is computed in the precision of
    the targets.

    - `coefficients`, `intercept`: $w$ and $b$, in the unit of return.
    - `centre`, `scale`: mean and deviation of the observations of the fit; 0 and 1 for choices.

    **Reference** Duan et al., *Benchmarking Deep Reinforcement Learning for Continuous Control*, 2016, section 6.
    """

    coefficients: Float[Array, " F"]
    intercept: Float[Array, ""]
    centre: Float[Array, " K"]
    scale: Float[Array, " K"]
    observation: Space = eqx.field(static=True)
    horizon: int = eqx.field(static=True)

    def __call__(self, obs: PyTree, time: Int[AnyArray, "*batch"]) -> Float[Array, "*batch"]:
        numbers = features(self.observation, without_mask(obs))
        design = _design(numbers.reshape(-1, numbers.shape[-1]), time.reshape(-1), self)
        with jax.default_matmul_precision("highest"):
            value = (self.intercept + design @ self.coefficients).reshape(time.shape)
        return jnp.where(time < self.horizon, value, 0)

    @classmethod
    def fit(
        cls,
        space: Space,
        obs: PyTree,
        time: Int[AnyArray, "*batch"],
        target: Float[AnyArray, "*batch"],
        weight: Float[AnyArray, "*batch"],
        horizon: int,
        ridge: float | Float[Array, ""] = 1e-5,
    ) -> "LinearValue":
        r"""Fit by ridge regression, minimising $\sum_i w_i\,(V(s_i,t_i)-y_i)^2 / \sum_i w_i + \rho\,\|w\|^2$.

        The intercept is not penalised, so targets may be far from 0.

        **Arguments**

        - `space`: of one observation.
        - `obs`: [*batch, …].
        - `time`: steps since the episode began.
        - `target`: $y$, in the unit of return; the reward-to-go, say.
        - `weight`: of each row. 0 ignores it, even when it holds NaN. Rows from the horizon on are ignored too.
        - `horizon`: H, the length of the longest episode, in steps.
        - `ridge`: $\rho > 0$, beside a mean square feature of about 1.

        **Example**

        >>> time, to_go = jnp.arange(4), jnp.array([4.0, 3.0, 2.0, 1.0])
        >>> steps_left = LinearValue.fit(Box(-1, 1, (1,)), jnp.zeros((4, 1)), time, to_go, jnp.ones(4), 4)
        >>> [round(float(value), 2) for value in steps_left(jnp.zeros((5, 1)), jnp.arange(5))]
        [4.0, 3.0, 2.0, 1.0, 0.0]
        """
        check_number("horizon", horizon, at_least=1, whole=True, remedy="Give the length of the longest episode.")
        check_number("ridge", ridge, above=0, remedy="1e-5 is usual.")
        time, target, weight = (jnp.asarray(each).reshape(-1) for each in (time, target, weight))
        kind = target.dtype
        space = without_mask(space)
        numbers = features(space, without_mask(obs)).reshape(-1, feature_count(space)).astype(kind)

        # What does not count is replaced before anything is computed with it: 0 × NaN would be NaN.
        counted = inside(time, horizon, weight)
        time, target = jnp.where(counted, time, 0), jnp.where(counted, target, 0)
        numbers = jnp.where(counted[:, None], numbers, 0)
        weight = jnp.where(counted, weight, 0).astype(kind)
        total = jnp.sum(weight)
        share = weight / jnp.where(total > 0, total, 1)

        with jax.default_matmul_precision("highest"):
            centre, scale = jnp.zeros(numbers.shape[1], kind), jnp.ones(numbers.shape[1], kind)
            if isinstance(space, Box):
                # Twice: the mean of what is left makes up for the rounding of the first, large where the mean is.
                for _ in range(2):
                    centre = centre + share @ (numbers - centre[None, :])
                deviation = jnp.sqrt(share @ jnp.square(numbers - centre[None, :]))
                # A number that never changes deviates by a rounding error, which is nothing to be measured in.
                scale = jnp.where(deviation > 1e-6 * jnp.abs(centre), deviation, 1)
            start = cls(jnp.zeros(0, kind), weighted_mean(target, share), centre, scale, space, horizon)

            design = _design(numbers, time, start)
            middle = share @ design
            root = jnp.sqrt(share)
            # QR of the rows, with the ridge as further rows: normal equations would square the condition number.
            penalty = jnp.sqrt(jnp.asarray(ridge, kind)) * jnp.eye(design.shape[1], dtype=kind)
            rows = jnp.concatenate([root[:, None] * (design - middle[None, :]), penalty])
            wanted = jnp.concatenate([root * (target - start.intercept), jnp.zeros(design.shape[1], kind)])
            orthogonal, triangular = jnp.linalg.qr(rows)
            coefficients = jax.scipy.linalg.solve_triangular(triangular, wanted @ orthogonal)
            intercept = start.intercept - middle @ coefficients
        return cls(coefficients, intercept, centre, scale, space, horizon)


def _design(numbers: Float[Array, "B K"], time: Int[AnyArray, " B"], value: LinearValue) -> Float[Array, "B F"]:
    """$\\phi(s,t)$ of every row."""
    x = 2 * time.astype(value.intercept.dtype) / value.horizon - 1
    legendre = jnp.stack([x, (3 * x**2 - 1) / 2, (5 * x**3 - 3 * x) / 2], axis=-1)
    numbers = numbers.astype(value.intercept.dtype)
    if not isinstance(value.observation, Box):
        return jnp.concatenate([numbers, legendre], axis=-1)
    standard = jnp.clip((numbers - value.centre[None, :]) / value.scale[None, :], -_LARGEST, _LARGEST)
    return jnp.concatenate([standard, jnp.square(standard), legendre], axis=-1)
