"""From the name of an estimator to the estimator."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from steepest.advantages import (
    GAE,
    AbstractAdvantage,
    AveragePerTimeStep,
    AverageReturn,
    AverageReturnToGo,
    ImportanceWeighted,
    MonteCarlo,
    NStep,
    WholeReturn,
)
from steepest.advantages.importance import WeightKind
from steepest.core.interfaces import ActionValueFunction, Policy, ValueFunction
from steepest.core.spaces import Discrete, Space, without_mask
from steepest.core.trajectory import Trajectory
from steepest.critics import AbstractTimeDependentValue, LinearValue, TabularValue
from steepest.estimators import (
    AbstractEstimator,
    DeterministicGradient,
    FittedCritic,
    FreshAction,
    ImportanceSampled,
    LikelihoodRatio,
    OffPolicy,
    Perturbed,
    VarianceOptimal,
)
from steepest.perturbation import FiniteDifference, Regression


@dataclasses.dataclass(frozen=True)
class Context:
    """What estimators are made of.

    - `policy`: whose gradient it is.
    - `discount`, `gae_lambda`, `n`: γ, λ, and the n of n-step.
    - `horizon`: how long episodes can be, in steps.
    - `observation`: the space of observations.
    - `behaviour`: the policy that plays for off-policy estimators, or None.
    - `value`: the exact $V(s,t)$, `(obs, time) -> value`, or None.
    - `action_value`: the exact Q, `(obs, action) -> value`, of the rows of whole episodes; or None.
    - `parameters`: how many the policy has.
    """

    policy: Policy
    discount: float
    gae_lambda: float
    n: int
    horizon: int
    observation: Space
    behaviour: Policy | None = None
    value: ValueFunction | None = None
    action_value: ActionValueFunction | None = None
    parameters: int = 0

    def fit(
        self, trajectory: Trajectory, time: Int[Array, "T N"], target: Float[Array, "T N"]
    ) -> AbstractTimeDependentValue:
        """A critic by least squares: a table by time for numbered states, else linear."""
        weight = trajectory.valid.astype(jnp.float32)
        space = without_mask(self.observation)
        if isinstance(space, Discrete):
            return TabularValue.fit(trajectory.obs, time, target, weight, space.n, self.horizon)
        return LinearValue.fit(space, trajectory.obs, time, target, weight, self.horizon)

    @property
    def policy_that_acts(self) -> Policy:
        """Whoever plays where another policy may, and need not."""
        return self.policy if self.behaviour is None else self.behaviour


def build(name: str, context: Context) -> AbstractEstimator:
    """The estimator called `name` in the catalogue, whose needs are met."""
    return _BUILDERS[name](context)


def _plain(context: Context, advantage: Callable[[float], AbstractAdvantage], **options: Any) -> LikelihoodRatio:
    return LikelihoodRatio(context.discount, advantage(context.discount), **options)


def _with_critic(context: Context, advantage: AbstractAdvantage) -> AbstractEstimator:
    """The exact values where they are known; else those fitted on one half, used on the other."""
    estimator = LikelihoodRatio(context.discount, advantage, critic=context.value)
    return estimator if context.value is not None else FittedCritic(context.fit, estimator)


def _weighted(context: Context, kind: WeightKind) -> ImportanceSampled:
    return ImportanceSampled(_given(context.behaviour), ImportanceWeighted(context.discount, kind))


def _given(behaviour: Policy | None) -> Policy:
    assert behaviour is not None
    return behaviour


def _known(action_value: ActionValueFunction | None) -> ActionValueFunction:
    assert action_value is not None
    return action_value


_BUILDERS: dict[str, Callable[[Context], AbstractEstimator]] = {
    "whole_return": lambda given: _plain(given, WholeReturn),
    "whole_return_average_baseline": lambda given: _plain(given, WholeReturn, baseline=AverageReturn()),
    "whole_return_optimal_scalar_baseline": lambda given: VarianceOptimal(given.discount, per_parameter=False),
    "whole_return_optimal_baseline": lambda given: VarianceOptimal(given.discount),
    "reward_to_go": lambda given: _plain(given, MonteCarlo),
    "reward_to_go_undiscounted_states": lambda given: _plain(given, MonteCarlo, discount_states=False),
    "reward_to_go_average_baseline": lambda given: _plain(given, MonteCarlo, baseline=AverageReturnToGo()),
    "reward_to_go_time_baseline": lambda given: _plain(given, MonteCarlo, baseline=AveragePerTimeStep()),
    "learned_baseline": lambda given: FittedCritic(given.fit, _plain(given, MonteCarlo)),
    "exact_baseline": lambda given: _plain(given, MonteCarlo, critic=given.value),
    "temporal_difference": lambda given: _with_critic(given, NStep(given.discount, 1)),
    "n_step": lambda given: _with_critic(given, NStep(given.discount, given.n)),
    "gae": lambda given: _with_critic(given, GAE(given.discount, given.gae_lambda)),
    "fresh_action": lambda given: FreshAction(given.policy_that_acts, _known(given.action_value), given.discount),
    "deterministic": lambda given: DeterministicGradient(_known(given.action_value), given.discount, given.behaviour),
    "importance_whole": lambda given: _weighted(given, "whole"),
    "importance_causal": lambda given: _weighted(given, "causal"),
    "importance_first_order": lambda given: _weighted(given, "first_order"),
    "off_policy": lambda given: OffPolicy(_given(given.behaviour), _known(given.action_value), given.discount),
    "finite_difference": lambda given: Perturbed(FiniteDifference(), given.discount),
    "finite_difference_forward": lambda given: Perturbed(FiniteDifference(central=False), given.discount),
    # Twice as many rows as unknowns.
    "perturbation_regression": lambda given: Perturbed(Regression(2 * given.parameters), given.discount),
}
