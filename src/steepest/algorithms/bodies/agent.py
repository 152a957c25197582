"""The agent that every body learns, and the steps of an update that bodies share."""

from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from steepest.core.distributions import AbstractDistribution
from steepest.core.finiteness import MASK, Finite
from steepest.core.histories import Histories
from steepest.core.moments import (
    AbstractNormaliser,
    AbstractRewardScaler,
    Moments,
    NoNormaliser,
    NoRewardScaler,
    ObservationNormaliser,
    RewardScaler,
    TreeNormaliser,
)
from steepest.core.problem import weighted_mean
from steepest.core.spaces import Box, Leaf, Masked, Space, Spec, is_picture, leaves
from steepest.core.trajectory import Trajectory, flatten, with_memory
from steepest.core.types import PyTree
from steepest.critics import AbstractStateValue
from steepest.policies import AbstractPolicy, AbstractPolicyWithValue

Result = TypeVar("Result")


class Agent(eqx.Module):
    """All that learning changes, as one tree of arrays.

    - `policy`, `critic`: the networks, as `Networks` has them; their array leaves are the parameters.
    - `policy_state`, `critic_state`: of the step rules.
    - `observations`, `rewards`: running normalisation.
    - `experience`: what a body keeps besides: a replay buffer, episodes, offsets of parameters; None in others, and
      wherever an agent only acts.
    - `updates`: made so far.
    """

    policy: AbstractPolicy
    critic: PyTree
    policy_state: PyTree
    critic_state: PyTree
    observations: AbstractNormaliser
    rewards: AbstractRewardScaler
    experience: PyTree
    updates: Int[Array, ""]

    def progress(self, spec: Spec) -> Float[Array, ""]:
        """The share of the run that is over: the one clock of all schedules."""
        return self.updates.astype(jnp.float32) / spec.total_updates


def best_guess(distribution: AbstractDistribution) -> PyTree:
    """The mode of a distribution as environments take it."""
    return distribution.squash(distribution.mode())


def fresh_normaliser(spec: Spec, normalise: bool) -> AbstractNormaliser:
    """The normaliser of a fresh agent; choices stay as they are, and so do pictures, which their encoder scales."""

    def of_leaf(leaf: Leaf) -> AbstractNormaliser:
        real = isinstance(leaf, Box) and not is_picture(leaf)
        return ObservationNormaliser(Moments.initial(leaf.shape)) if real else NoNormaliser()

    parts = [of_leaf(leaf) for _, leaf in leaves(spec.observation)] if normalise else []
    if all(isinstance(part, NoNormaliser) for part in parts):
        return NoNormaliser()
    return parts[0] if isinstance(spec.observation, Box) else TreeNormaliser(tuple(parts))


def fresh_scaler(spec: Spec, scale: bool) -> AbstractRewardScaler:
    """The reward scaler of a fresh agent."""
    return RewardScaler.initial(spec.num_envs) if scale else NoRewardScaler()


def with_observations(normaliser: AbstractNormaliser, trajectory: Trajectory) -> AbstractNormaliser:
    """The normaliser with the observations of a trajectory, for updates that have used it already."""
    weight = flatten(trajectory.valid).astype(jnp.float32)
    return normaliser.merge(normaliser.measure(trajectory.obs, weight))


def finite_samples(trajectory: Trajectory, observation: Space) -> Finite:
    """Which quantities of a trajectory are finite; before them, whether the masks of each stream allow an action."""
    sampled = Finite.of(
        observation=(trajectory.obs, trajectory.next_obs),
        reward=trajectory.reward,
        action=trajectory.action,
        log_probability=trajectory.log_prob,
    )
    if not isinstance(observation, Masked):
        return sampled
    # Successors too: targets of critics ask what is allowed in them.
    some = [observation.mask.allows(each.mask) for each in (trajectory.obs, trajectory.next_obs)]
    allowed = (some[0] & some[1]) | ~trajectory.valid
    return Finite.each(MASK, jnp.all(allowed, axis=0)).then(sampled)


def value_of(agent: Agent) -> AbstractStateValue | None:
    """The state value of an agent: its critic, the second head of its policy, or None."""
    if isinstance(agent.critic, AbstractStateValue):
        return agent.critic
    return ValueHead(agent.policy) if isinstance(agent.policy, AbstractPolicyWithValue) else None


class ValueHead(AbstractStateValue):
    """The state value of a policy that shares its network with one."""

    policy: AbstractPolicyWithValue

    def __call__(self, obs: PyTree) -> Float[Array, "*batch"]:
        return self.policy.value(obs)

    def with_successors(self, rows: Histories, next_obs: PyTree) -> tuple[Array, Array]:
        return self.policy.value_with_successors(rows, next_obs)


def state_values(critic: AbstractStateValue | None, trajectory: Trajectory) -> tuple[Array, Array]:
    """$V(s_t)$, and $V(s'_t)$ wherever it counts, that is, unless step t terminated; 0 without a critic.

    The carry of the trajectory is the memory of the critic; with one, a successor is seen with the memory of its
    moment.
    """
    if critic is None:
        zero = jnp.zeros_like(trajectory.reward)
        return zero, zero
    if jax.tree.leaves(trajectory.carry):
        obs, next_obs = flatten((trajectory.obs, trajectory.next_obs))
        found = critic.with_successors(with_memory(obs, trajectory, trajectory.carry), next_obs)
        return jax.tree.map(lambda values: values.reshape(trajectory.reward.shape), found)
    return of_rows_and_successors(critic, trajectory)


def of_rows_and_successors(function: Callable[[PyTree], Result], trajectory: Trajectory) -> tuple[Result, Result]:
    """A function of observations at every row, and at its successor wherever that counts; arrays [T, N, …].

    Within an episode the successor is the next row's observation, so it is not evaluated again. That leaves the last
    row and the truncated ones, of which a stream hardly ever has two.
    """
    truncated = trajectory.truncated.at[-1].set(False)
    first = jnp.argmax(truncated, axis=0)
    at_first = truncated & (jnp.arange(truncated.shape[0])[:, None] == first[None, :])

    def in_one_pass() -> tuple[Result, Result]:
        def joined(obs: Array, next_obs: Array) -> Array:
            return jnp.concatenate([obs, next_obs[-1:], next_obs[first, jnp.arange(truncated.shape[1])][None]])

        def successors(found: Array) -> Array:
            return jnp.where(at_first.reshape(*at_first.shape, *[1] * (found.ndim - 2)), found[-1:], found[1:-1])

        found = function(jax.tree.map(joined, trajectory.obs, trajectory.next_obs))
        return jax.tree.map(lambda each: each[:-2], found), jax.tree.map(successors, found)

    def in_two_passes() -> tuple[Result, Result]:
        return function(trajectory.obs), function(trajectory.next_obs)

    return jax.lax.cond(jnp.all(at_first == truncated), in_one_pass, in_two_passes)


def explained_variance(value: Float[Array, " B"], target: Float[Array, " B"], weight: Float[Array, " B"]) -> Array:
    """$1 - \\mathrm{Var}(y - V)/\\mathrm{Var}(y)$: 1 for a perfect critic, 0 for one no better than a constant."""

    def variance(rows: Float[Array, " B"]) -> Float[Array, ""]:
        return weighted_mean(jnp.square(rows - weighted_mean(rows, weight)), weight)

    total = variance(target)
    return jnp.where(total > 0, 1 - variance(target - value) / jnp.where(total > 0, total, 1), 0)
