"""One number to be kept near 0 at little cost, about which everything is known in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from steepest.core.errors import InputError
from steepest.core.interfaces import Policy
from steepest.core.problem import SampledProblem
from steepest.core.trajectory import Batch
from steepest.core.types import AnyArray
from steepest.core.validation import check_number
from steepest.objectives import AbstractObjective, Ratio
from steepest.oracles.checks import check_steps, check_time
from steepest.oracles.precision import in_float64
from steepest.oracles.sampling import LinearQuadraticEnvironment, time_limit
from steepest.policies import LinearGaussian


def _check(problem: "LinearQuadratic", policy: Policy, *_: object) -> None:
    """Refuse a policy of another kind, and one that lets the state grow without end."""
    if not isinstance(policy, LinearGaussian):
        raise InputError(
            f"policy is a {type(policy).__name__}; it must be a LinearGaussian. Give its gain and log_std."
        )
    for name in ("gain", "log_std"):
        value = getattr(policy, name)
        check_number(name, value if isinstance(value, float) else value.item(), at_least=-1e6, at_most=1e6, remedy="")
    growth = problem.discount * (1 + float(policy.gain)) ** 2
    if problem.horizon is None and growth >= 1:
        raise InputError(
            f"gain is {float(policy.gain):g}; without a horizon, discount × (1 + gain)² must be below 1, and it is "
            f"{growth:g}. Take a gain nearer to −1, or give a horizon."
        )


class LinearQuadratic(eqx.Module):
    r"""A linear-quadratic problem: $s' = s + a + \text{noise}$, $r = -s^2 - a^2$, $a \sim N(ks, \sigma^2)$ (G17, T7).

    $$V_t(s) = -(p_t s^2 + c_t), \qquad Q_t(s,a) = -s^2 - a^2 - \gamma\,(p_{t+1}((s+a)^2 + \sigma_w^2) + c_{t+1}),$$
    $$p_t = 1 + k^2 + \gamma(1+k)^2 p_{t+1}, \qquad
      c_t = \sigma^2 + \gamma\,(p_{t+1}(\sigma^2+\sigma_w^2) + c_{t+1}), \qquad p_H = c_H = 0,$$
    $$\nabla_k = -2\sum_t w_t\,E[s_t^2]\,(k + \gamma p_{t+1}(1+k)), \qquad
      \nabla_{\log\sigma} = -2\sigma^2\sum_t w_t\,(1 + \gamma p_{t+1}).$$

    Without a horizon p and c are the fixed points. Everything is in float64; with a horizon H, values have a leading
    axis of H time steps. States and actions given to methods are arrays of any one shape.

    **Arguments**

    - `discount`: $\gamma$, at most 1, and below 1 without a horizon.
    - `horizon`: H, or `None` for no end; then policies with $\gamma(1+k)^2 \ge 1$ are refused.
    - `initial_std`, `initial_mean`: of the first state, which is normal; in the unit of the state.
    - `process_std`: $\sigma_w$, of the noise in the dynamics.

    **Example**

    >>> problem = LinearQuadratic(discount=0.9)
    >>> float(problem.optimal_gain().round(6))
    -0.588403
    """

    discount: float | Float[AnyArray, ""]
    horizon: int | None = eqx.field(static=True)
    initial_std: float | Float[AnyArray, ""]
    initial_mean: float | Float[AnyArray, ""]
    process_std: float | Float[AnyArray, ""]

    def __init__(
        self,
        discount: float,
        horizon: int | None = None,
        *,
        initial_std: float = 1.0,
        initial_mean: float = 0.0,
        process_std: float = 0.0,
    ):
        check_time(discount, horizon)
        check_number("initial_std", initial_std, at_least=0, at_most=1e6, remedy="1 is usual.")
        check_number("initial_mean", initial_mean, at_least=-1e6, at_most=1e6, remedy="0 is usual.")
        check_number("process_std", process_std, at_least=0, at_most=1e6, remedy="0 is usual.")
        self.discount, self.horizon = discount, horizon
        self.initial_std, self.initial_mean, self.process_std = initial_std, initial_mean, process_std

    @in_float64(check=_check)
    def state_moments(self, policy: LinearGaussian, steps: int) -> tuple[Float[AnyArray, " T"], Float[AnyArray, " T"]]:
        """The moments $E[s_t]$ and $E[s_t^2]$ for t < `steps`; every $s_t$ is normal."""
        grows, noise = 1 + policy.gain, jnp.exp(2 * policy.log_std) + self.process_std**2

        def next_moments(moments, _):
            mean, second = moments
            return (grows * mean, grows**2 * second + noise), moments

        zero = jnp.zeros_like(noise)  # of the type that the recursion has
        start = (self.initial_mean + zero, self.initial_mean**2 + self.initial_std**2 + zero)
        return jax.lax.scan(next_moments, start, length=steps)[1]

    def _coefficients(self, policy: LinearGaussian) -> tuple[Float[AnyArray, " T"], Float[AnyArray, " T"]]:
        """p and c: [H + 1], the last ones 0, or without a horizon the two equal ones [2] of now and the next step."""
        grows, variance = 1 + policy.gain, jnp.exp(2 * policy.log_std)
        noise = variance + self.process_std**2
        if self.horizon is None:
            curvature = (1 + policy.gain**2) / (1 - self.discount * grows**2)
            constant = (variance + self.discount * curvature * noise) / (1 - self.discount)
            return jnp.stack([curvature, curvature]), jnp.stack([constant, constant])

        def earlier(later, _):
            curvature, constant = later
            now = (
                1 + policy.gain**2 + self.discount * grows**2 * curvature,
                variance + self.discount * (curvature * noise + constant),
            )
            return now, now

        zero = jnp.zeros_like(noise)
        found = jax.lax.scan(earlier, (zero, zero), length=self.horizon, reverse=True)[1]
        curvature, constant = (jnp.concatenate([each, zero[None]]) for each in found)
        return curvature, constant

    @in_float64(check=_check)
    def performance(self, policy: LinearGaussian) -> Float[AnyArray, ""]:
        """J, the expected discounted return."""
        curvature, constant = self._coefficients(policy)
        return -(curvature[0] * (self.initial_mean**2 + self.initial_std**2) + constant[0])

    @in_float64(check=_check)
    def values(self, policy: LinearGaussian, state: Float[AnyArray, "*shape"]) -> Float[AnyArray, "*shape_or_H"]:
        """The value function V at each state, of the same shape; with a horizon [H, *shape]."""
        curvature, constant = self._coefficients(policy)
        return self._each_time(-(_times(curvature[:-1], state**2) + _times(constant[:-1], jnp.ones_like(state))))

    @in_float64(check=_check)
    def action_values(
        self, policy: LinearGaussian, state: Float[AnyArray, "*shape"], action: Float[AnyArray, "*shape"]
    ) -> Float[AnyArray, "*shape_or_H"]:
        """The action values Q of each state and action, of the same shape; with a horizon [H, *shape]."""
        curvature, constant = self._coefficients(policy)
        successor = (state + action) ** 2 + self.process_std**2
        later = _times(curvature[1:], successor) + _times(constant[1:], jnp.ones_like(state))
        return self._each_time(-((state**2 + action**2)[None] + self.discount * later))

    @in_float64(check=_check)
    def advantages(
        self, policy: LinearGaussian, state: Float[AnyArray, "*shape"], action: Float[AnyArray, "*shape"]
    ) -> Float[AnyArray, "*shape_or_H"]:
        """The advantages $A(s,a) = Q(s,a) - V(s)$, of the same shape; with a horizon [H, *shape]."""
        return self.action_values(policy, state, action) - self.values(policy, state)

    def _each_time(self, values):
        return values[0] if self.horizon is None else values

    @in_float64(check=_check)
    def _decisions(self, policy: LinearGaussian, discount_states: bool, steps: int | None):
        """$w_t$, $w_t E[s_t]$, $w_t E[s_t^2]$ and $p_{t+1}$, one for each time; summed over time without an end."""
        curvature, _ = self._coefficients(policy)
        length = steps or self.horizon
        if length is None:
            total, grows = 1 / (1 - self.discount), 1 + policy.gain
            noise = jnp.exp(2 * policy.log_std) + self.process_std**2
            first = self.initial_mean / (1 - self.discount * grows)
            second = (self.initial_mean**2 + self.initial_std**2 + self.discount * noise * total) / (
                1 - self.discount * grows**2
            )
            return *(jnp.stack([each]) for each in (total, first, second)), curvature[1:]
        first, second = self.state_moments(policy, length)
        weight = jnp.ones_like(first)
        if discount_states:
            weight = self.discount ** jnp.arange(length, dtype=first.dtype)
        following = jnp.broadcast_to(curvature[1:], weight.shape) if self.horizon is None else curvature[1 : length + 1]
        return weight, weight * first, weight * second, following

    def _checked_decisions(self, policy: LinearGaussian, discount_states: bool, steps: int | None):
        check_steps(steps, self.horizon)
        if not discount_states and steps is None and self.horizon is None:
            raise InputError(
                "discount_states is False, and nothing here ends, so the sum over time is not finite. Give steps, "
                "a horizon, or discount_states=True."
            )
        return self._decisions(policy, discount_states, steps)

    def policy_gradient(
        self, policy: LinearGaussian, *, discount_states: bool = True, steps: int | None = None
    ) -> LinearGaussian:
        """The gradient $\\sum_t w_t E[\\nabla\\log\\pi(a_t|s_t) A_t(s_t,a_t)]$ in $(k, \\log\\sigma)$; by default ∇J.

        **Arguments**

        - `discount_states`: $w_t = \\gamma^t$, option 2 of G5, which makes it ∇J; otherwise $w_t = 1$, option 1.
        - `steps`: only so many first time steps count, with the advantages of the whole problem. `None` counts all.
        """
        return self._gradient(policy, *self._checked_decisions(policy, discount_states, steps))

    @in_float64()
    def _gradient(self, policy: LinearGaussian, weight, first, second, curvature) -> LinearGaussian:
        worth = self.discount * curvature
        gain = -2 * jnp.sum(second * (policy.gain + worth * (1 + policy.gain)))
        return LinearGaussian(gain, -2 * jnp.exp(2 * policy.log_std) * jnp.sum(weight * (1 + worth)))

    def fisher(
        self, policy: LinearGaussian, *, discount_states: bool = True, steps: int | None = None
    ) -> Float[AnyArray, "2 2"]:
        """The Fisher information $F = \\mathrm{diag}(\\bar E[s^2]/\\sigma^2,\\ 2)$ in $(k, \\log\\sigma)$."""
        return self._fisher(policy, *self._checked_decisions(policy, discount_states, steps))

    @in_float64()
    def _fisher(self, policy: LinearGaussian, weight, first, second, curvature) -> Float[AnyArray, "2 2"]:
        mean_square = jnp.sum(second) / jnp.sum(weight)
        return jnp.diag(jnp.stack([mean_square * jnp.exp(-2 * policy.log_std), jnp.full_like(mean_square, 2)]))

    def optimal_gain(self) -> Float[AnyArray, "*H"]:
        """The optimal gain k, for any σ; with a horizon, for each time step, [H]."""
        if self.horizon is None:
            # γp solves x² + (1 − 2γ)x − γ = 0.
            worth = (2 * self.discount - 1 + np.sqrt(1 + 4 * self.discount**2)) / 2
            return np.asarray(-worth / (1 + worth))
        gains, curvature = [], 0.0
        for _ in range(self.horizon):
            worth = self.discount * curvature
            gains.append(-worth / (1 + worth))
            curvature = 1 + worth / (1 + worth)
        return np.array(gains[::-1])

    def problem(
        self,
        policy: LinearGaussian,
        objective: AbstractObjective | None = None,
        *,
        discount_states: bool = True,
        steps: int | None = None,
        nodes: int = 40,
    ) -> SampledProblem:
        """The policy-improvement problem at `policy`, for step rules; rows are quadrature nodes.

        Advantages, KL and Fisher information depend on the states through their first two moments only, which two
        nodes match; `nodes` Gauss–Hermite nodes stand for the actions in each. So the KL, the Fisher information
        and the gradient at `policy` are exact, the last divided by $\\sum_t w_t$; the surrogate elsewhere is as near as
        the quadrature of the ratio: 1e-8 for changes of 0.3 in either parameter. The other arguments are those of
        `policy_gradient`.
        """
        moments = self._checked_decisions(policy, discount_states, steps)
        standard, share = np.polynomial.hermite_e.hermegauss(nodes)
        batch, old = self._rows(policy, standard, share / share.sum(), *moments)
        batch, old = jax.tree.map(jnp.asarray, (batch, old))
        return SampledProblem(Ratio() if objective is None else objective, Batch(**batch), old)

    @in_float64()
    def _rows(self, policy: LinearGaussian, standard, share, weight, first, second, curvature):
        mean, spread = first / weight, jnp.sqrt(jnp.maximum(second / weight - (first / weight) ** 2, 0))
        state = jnp.stack([mean - spread, mean + spread], axis=1)  # [T, 2]
        deviation = jnp.exp(policy.log_std) * standard
        action = policy.gain * state[:, :, None] + deviation[None, None]  # [T, 2, nodes]
        # Q − V, where everything that does not depend on the action cancels.
        worth = (self.discount * curvature)[:, None, None]
        grown = (1 + policy.gain) * state[:, :, None]
        variance = jnp.exp(2 * policy.log_std)
        advantage = -(action**2) + (policy.gain * state[:, :, None]) ** 2 + variance
        advantage -= worth * ((grown + deviation[None, None]) ** 2 - grown**2 - variance)
        rows = {
            "obs": jnp.broadcast_to(state[:, :, None], action.shape).reshape(-1, 1),
            "action": action.reshape(-1, 1),
            "advantage": advantage.ravel(),
            "weight": (
                weight[:, None, None] / jnp.sum(weight) / 2 * jnp.broadcast_to(share, (1, 2, len(share)))
            ).ravel(),
        }
        old = policy(rows["obs"])
        return rows | {"log_prob": old.log_prob(rows["action"])}, old

    def as_env(self, max_episode_steps: int | None = None) -> LinearQuadraticEnvironment:
        """The problem as an environment. With a horizon, the last step before it terminates and is the time limit."""
        return LinearQuadraticEnvironment(
            initial_mean=self.initial_mean,
            initial_std=self.initial_std,
            process_std=self.process_std,
            horizon=self.horizon,
            max_episode_steps=time_limit(max_episode_steps, self.horizon),
        )


def _times(coefficients: Float[AnyArray, " T"], values: Float[AnyArray, "*shape"]) -> Float[AnyArray, "T *shape"]:
    return coefficients.reshape(-1, *[1] * values.ndim) * values[None]
