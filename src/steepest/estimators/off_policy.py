"""Gradients for one policy from the episodes of another, or from a critic of actions (G12–G15)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.advantages import ImportanceWeighted, effective_sample_size
from steepest.core.interfaces import ActionValueFunction, Policy
from steepest.core.problem import Info
from steepest.core.trajectory import Trajectory
from steepest.core.types import PyTree
from steepest.estimators.estimator import AbstractEstimator, AbstractRollouts, distributions, score_gradient, steps_of
from steepest.objectives import Deterministic, Score


class ImportanceSampled(AbstractEstimator):
    """The likelihood ratio on episodes that another policy played (G12).

    `info` holds the `effective_sample_size` of the weights: of episodes for the whole weight, else of steps.

    **Arguments**

    - `behaviour`: the policy that plays.
    - `weighting`: which of the three weights.
    - `discount_states`: the switch of G5.
    """

    behaviour: Policy
    weighting: ImportanceWeighted
    discount_states: bool = eqx.field(static=True, default=True)

    def collect(self, key: Key[Array, ""], policy: Policy, rollouts: AbstractRollouts, episodes: int) -> Trajectory:
        return rollouts.play(key, self.behaviour, episodes)

    def gradient(self, policy: Policy, data: Trajectory) -> tuple[PyTree, Info]:
        weight, log_weight = self.weighting(data, _log_ratio(policy, data))
        factor = self.weighting.discount if self.discount_states else None
        counted = log_weight[0] if self.weighting.kind == "whole" else jnp.where(data.valid, log_weight, -jnp.inf)
        info = steps_of(data) | {"effective_sample_size": effective_sample_size(counted.reshape(-1))}
        return score_gradient(Score(), policy, data, weight, factor), info


class OffPolicy(AbstractEstimator):
    r"""$E_\beta[\rho\,\nabla\log\pi(a|s)\,Q(s,a)]$, $\rho = \pi/\beta$ (G13).

    The states remain those of the behaviour policy: what is left out is how the state distribution changes.

    **Arguments**

    - `behaviour`: $\beta$, the policy that plays.
    - `action_value`: $Q$, `(obs, action) -> value`.
    - `discount`, `discount_states`: as in `LikelihoodRatio`.

    **Reference** Degris, White and Sutton, *Off-Policy Actor-Critic*, 2012.
    """

    behaviour: Policy
    action_value: ActionValueFunction
    discount: float | Float[Array, ""]
    discount_states: bool = eqx.field(static=True, default=True)

    def collect(self, key: Key[Array, ""], policy: Policy, rollouts: AbstractRollouts, episodes: int) -> Trajectory:
        return rollouts.play(key, self.behaviour, episodes)

    def gradient(self, policy: Policy, data: Trajectory) -> tuple[PyTree, Info]:
        taken = distributions(policy, data).squash(data.action)
        weight = jnp.exp(_log_ratio(policy, data)) * self.action_value(data.obs, taken)
        return score_gradient(Score(), policy, data, weight, _factor(self)), steps_of(data)


class FreshAction(AbstractEstimator):
    r"""$\nabla\log\pi(a'|s)\,Q(s,a')$ with states of the behaviour policy and new actions $a' \sim \pi(\cdot|s)$ (G14).

    No ratio, so no variance of a ratio; the critic answers for actions that nobody took.

    **Arguments**: as of `OffPolicy`.
    """

    behaviour: Policy
    action_value: ActionValueFunction
    discount: float | Float[Array, ""]
    discount_states: bool = eqx.field(static=True, default=True)

    def collect(
        self, key: Key[Array, ""], policy: Policy, rollouts: AbstractRollouts, episodes: int
    ) -> tuple[Trajectory, Key[Array, ""]]:
        for_playing, for_actions = jax.random.split(key)
        return rollouts.play(for_playing, self.behaviour, episodes), for_actions

    def gradient(self, policy: Policy, data: tuple[Trajectory, Key[Array, ""]]) -> tuple[PyTree, Info]:
        trajectory, key = data
        distribution = distributions(policy, trajectory)
        fresh = distribution.sample(key)
        answered = eqx.tree_at(lambda each: each.action, trajectory, fresh)
        weight = self.action_value(trajectory.obs, distribution.squash(fresh))
        return score_gradient(Score(), policy, answered, weight, _factor(self)), steps_of(trajectory)


class DeterministicGradient(AbstractEstimator):
    r"""$E_s[\nabla_\theta\mu(s)\,\nabla_a Q(s,a)|_{a=\mu(s)}]$ (G15), where $\mu$ is the mode of the policy.

    **Arguments**: as of `OffPolicy`; with `behaviour` None the policy itself plays, with its noise.

    **Reference** Silver et al., *Deterministic Policy Gradient Algorithms*, 2014.
    """

    action_value: ActionValueFunction
    discount: float | Float[Array, ""]
    behaviour: Policy | None = None
    discount_states: bool = eqx.field(static=True, default=True)

    def collect(self, key: Key[Array, ""], policy: Policy, rollouts: AbstractRollouts, episodes: int) -> Trajectory:
        return rollouts.play(key, policy if self.behaviour is None else self.behaviour, episodes)

    def gradient(self, policy: Policy, data: Trajectory) -> tuple[PyTree, Info]:
        one = jnp.ones_like(data.reward)
        objective = Deterministic(self.action_value)
        return score_gradient(objective, policy, data, one, _factor(self)), steps_of(data)


def _log_ratio(policy: Policy, trajectory: Trajectory) -> Float[Array, "T N"]:
    return jax.lax.stop_gradient(distributions(policy, trajectory).log_prob(trajectory.action)) - trajectory.log_prob


def _factor(estimator: OffPolicy | FreshAction | DeterministicGradient) -> float | Array | None:
    return estimator.discount if estimator.discount_states else None
