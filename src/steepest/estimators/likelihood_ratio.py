"""The likelihood-ratio family (G3–G11): a weight for every row, times its score."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.advantages import (
    AbstractAdvantage,
    AbstractBaseline,
    MonteCarlo,
    Weighted,
    WholeReturn,
    elapsed,
    variance_optimal,
)
from steepest.core.errors import InputError
from steepest.core.interfaces import Policy, ValueFunction
from steepest.core.problem import Info
from steepest.core.trajectory import Trajectory, flatten, with_memory
from steepest.core.types import PyTree
from steepest.estimators.estimator import AbstractEstimator, AbstractRollouts, score_gradient, seen_by, steps_of
from steepest.objectives import Score, episode_scores


class LikelihoodRatio(AbstractEstimator):
    r"""$\frac1N\sum_i\sum_t [\gamma^t]\,\nabla\log\pi(a_t|s_t)\,\bigl(\hat A_t - b\bigr)$

    **Arguments**

    - `advantage`: `(trajectory, value, next_value) -> Estimates`: `WholeReturn` (G3), `MonteCarlo` (G4; with a critic
      G9), `NStep` (G10; G8 with n = 1), `GAE` (G11).
    - `critic`: `(obs, time) -> value`, each [T, N]; None where every value is 0.
    - `baseline`: what else to subtract (G6).
    - `discount`: $\gamma$, per step.
    - `discount_states`: the switch of G5. True puts in the factor $\gamma^t$ and gives the gradient of J; False leaves
      it out. The whole return is discounted from the start as it is, and takes no factor.

    **Reference** Williams, *Simple statistical gradient-following algorithms*, 1992; Sutton et al., *Policy Gradient
    Methods for Reinforcement Learning with Function Approximation*, 2000.
    """

    discount: float | Float[Array, ""]
    advantage: AbstractAdvantage
    critic: ValueFunction | None = None
    baseline: AbstractBaseline | None = None
    discount_states: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        self._weight()

    def collect(self, key: Key[Array, ""], policy: Policy, rollouts: AbstractRollouts, episodes: int) -> Trajectory:
        return rollouts.play(key, policy, episodes)

    def gradient(self, policy: Policy, data: Trajectory) -> tuple[PyTree, Info]:
        value, next_value = values(self.critic, data)
        weight = self._weight()(data, value, next_value).advantage
        return score_gradient(Score(), policy, data, weight, None), steps_of(data)

    def _weight(self) -> Weighted:
        return Weighted(self.advantage, self.discount, self.baseline, self.discount_states)


class FittedCritic(AbstractEstimator):
    """A critic fitted on half of the episodes serves the other half (G7).

    The gradient's own episodes had no part in the fit, so as a baseline the critic is independent of them and adds no
    bias, however badly it fits.

    **Arguments**

    - `fit`: `(trajectory, time, target) -> critic`; the target is the return that was seen.
    - `estimator`: what to do with the critic, on the other half.
    """

    fit: Callable[[Trajectory, Array, Array], ValueFunction]
    estimator: LikelihoodRatio

    def collect(
        self, key: Key[Array, ""], policy: Policy, rollouts: AbstractRollouts, episodes: int
    ) -> tuple[Trajectory, Trajectory]:
        if episodes < 2:
            raise InputError(f"episodes is {episodes}; a critic fitted on other data takes at least 2. Give more.")
        for_fit, for_gradient = jax.random.split(key)
        half = episodes // 2
        return rollouts.play(for_fit, policy, half), rollouts.play(for_gradient, policy, episodes - half)

    def gradient(self, policy: Policy, data: tuple[Trajectory, Trajectory]) -> tuple[PyTree, Info]:
        first, second = data
        zero = jnp.zeros_like(first.reward)
        target = MonteCarlo(self.estimator.discount)(first, zero, zero).value_target
        critic = self.fit(first, elapsed(_ended(first)), target)
        informed = eqx.tree_at(lambda each: each.critic, self.estimator, critic, is_leaf=lambda leaf: leaf is None)
        return informed.gradient(policy, second)[0], steps_of(first, second)


class VarianceOptimal(AbstractEstimator):
    """The whole return (G3) less the constant that leaves the least variance (G6).

    **Arguments**

    - `per_parameter`: one baseline for each parameter, or one for all.
    - `leave_one_out`: make the baseline of each episode of the others.
    """

    discount: float | Float[Array, ""]
    per_parameter: bool = eqx.field(static=True, default=True)
    leave_one_out: bool = eqx.field(static=True, default=True)

    def collect(self, key: Key[Array, ""], policy: Policy, rollouts: AbstractRollouts, episodes: int) -> Trajectory:
        return rollouts.play(key, policy, episodes)

    def gradient(self, policy: Policy, data: Trajectory) -> tuple[PyTree, Info]:
        zero = jnp.zeros_like(data.reward)
        returns = WholeReturn(self.discount)(data, zero, zero).advantage[0]
        seen = seen_by(policy, data)
        obs = with_memory(flatten(seen.obs), seen, seen.carry) if jax.tree.leaves(seen.carry) else data.obs
        scores, unravel = episode_scores(policy, obs, data.action, data.valid)
        baseline = variance_optimal(scores, returns, per_parameter=self.per_parameter, leave_one_out=self.leave_one_out)
        return unravel(jnp.mean(scores * (returns[:, None] - baseline), axis=0)), steps_of(data)


def values(critic: ValueFunction | None, trajectory: Trajectory) -> tuple[Array, Array]:
    """$V(s_t)$ and $V(s'_t)$ of every row."""
    if critic is None:
        zero = jnp.zeros_like(trajectory.reward)
        return zero, zero
    time = elapsed(_ended(trajectory))
    return critic(trajectory.obs, time), critic(trajectory.next_obs, time + 1)


def _ended(trajectory: Trajectory) -> Array:
    return jnp.logical_or(trajectory.terminated, trajectory.truncated)
