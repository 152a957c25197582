"""The body that on-policy algorithms share: evaluate, estimate, improve."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from steepest.advantages import normalise
from steepest.algorithms.architecture import Architecture
from steepest.core.interfaces import AbstractAlgorithm, AbstractStepRule, RolloutSpec
from steepest.core.moments import Moments, ObservationNormaliser, RewardScaler
from steepest.core.problem import (
    AbstractMaximisation,
    AbstractProblem,
    GivenGradient,
    SampledProblem,
    weighted_mean,
    with_kl,
)
from steepest.core.results import Finite, UpdateInfo
from steepest.core.spaces import Box, Spec
from steepest.core.trajectory import Batch, Estimates, Trajectory, flatten
from steepest.core.types import AnyArray, PyTree
from steepest.critics import ClippedRegression, StateValue, ValueRegression
from steepest.objectives import AbstractObjective, PlusValue

_MEASURED_ROWS = 512
"""So many rows are enough to measure the entropy and the KL of an update; more would cost and tell no more."""


class Agent(eqx.Module):
    """All that learning changes.

    - `policy`, `critic`: their array leaves are the parameters; no critic, and every value is 0.
    - `policy_state`, `critic_state`: of the step rules.
    - `observations`, `rewards`: running normalisation, where it was asked for.
    - `updates`: made so far.
    """

    policy: Any
    critic: StateValue | None
    policy_state: PyTree
    critic_state: PyTree
    observations: ObservationNormaliser | None
    rewards: RewardScaler | None
    updates: Int[Array, ""]


class Statistics(eqx.Module):
    """What a trajectory adds to the running statistics of an agent that keeps them; all None for one that does not.

    - `observations`, `rewards`: moments of its own rows alone.
    - `streams`: where the discounted rewards of its streams are after it.
    """

    observations: Moments | None
    rewards: Moments | None
    streams: Float[Array, " N"] | None


class Prepared(eqx.Module):
    """What an update learns from: a problem for the policy, a regression for the critic, and statistics to add."""

    problem: AbstractMaximisation
    regression: AbstractMaximisation | None
    statistics: Statistics
    metrics: dict[str, Array]
    finite: Finite


class Moved(eqx.Module):
    """What became of the policy, or of the critic."""

    parameters: Any
    state: PyTree
    metrics: dict[str, Array]
    finite: Finite


class ActorCritic(AbstractAlgorithm):
    """Sample, evaluate, improve: the composition that the on-policy algorithms name the parts of.

    - `advantage`: `(trajectory, value, next_value) -> Estimates`.
    - `objective`: `(policy, batch) -> (scalar, info)`.
    - `policy_rule`: what moves the policy.
    - `critic_rule`: what moves the critic, on the regression to `value_target`; `None` for no critic, or for one that
      shares the policy's network and moves with it.
    - `normalise_advantages`: standardise them over the valid rows.
    - `normalise_observations`, `scale_rewards`: by running moments that are part of the agent.
    - `value_clip_radius`: how far an update may take the critic's values; None leaves them free.
    - `pose`: `(objective, batch, old) -> problem`, the problem that the rows pose to the policy.
    """

    spec: Spec = eqx.field(static=True)
    rollout: RolloutSpec = eqx.field(static=True)
    architecture: Architecture = eqx.field(static=True)
    advantage: Callable[..., Estimates]
    objective: AbstractObjective | PlusValue
    policy_rule: AbstractStepRule
    critic_rule: AbstractStepRule | None
    discount: float | Float[Array, ""]
    normalise_advantages: bool = eqx.field(static=True)
    normalise_observations: bool = eqx.field(static=True)
    scale_rewards: bool = eqx.field(static=True)
    value_clip_radius: float | Float[Array, ""] | None = None
    pose: Callable[..., SampledProblem] = eqx.field(static=True, default=SampledProblem)

    def init(self, key: Key[Array, ""]) -> Agent:
        for_policy, for_critic = jax.random.split(key)
        policy = self.architecture.draw_policy(for_policy, self.spec)
        critic = self.architecture.draw_critic(for_critic, self.spec) if self.critic_rule is not None else None
        normalises = self.normalise_observations and isinstance(self.spec.observation, Box)
        return Agent(
            policy=policy,
            critic=critic,
            policy_state=self.policy_rule.init(policy),
            critic_state=self.critic_rule.init(critic) if self.critic_rule is not None else None,
            observations=ObservationNormaliser(Moments.initial(self.spec.observation.shape)) if normalises else None,
            rewards=RewardScaler.initial(self.spec.num_envs) if self.scale_rewards else None,
            updates=jnp.zeros((), jnp.int32),
        )

    def act(self, key: Key[Array, ""], agent: Agent, obs: AnyArray) -> tuple[Array, Array]:
        return agent.policy(_seen(agent, obs)).sample_and_log_prob(key)

    def act_deterministic(self, agent: Agent, obs: AnyArray) -> Array:
        return agent.policy(_seen(agent, obs)).mode()

    def log_prob(self, agent: Agent, obs: AnyArray, action: AnyArray) -> Array:
        """$\\log\\pi(a|s)$ of actions that anybody took, in nats."""
        return agent.policy(_seen(agent, obs)).log_prob(action)

    def update_normaliser(self, agent: Agent, obs: AnyArray) -> Agent:
        """The agent with these observations, [B, …], in the moments that it normalises with, if it does."""
        if agent.observations is None:
            return agent
        known = agent.observations.merge(agent.observations.measure(obs, jnp.ones(obs.shape[0])))
        return dataclasses.replace(agent, observations=known)

    def update(self, key: Key[Array, ""], agent: Agent, trajectory: Trajectory) -> tuple[Agent, UpdateInfo]:
        prepared = self._prepare(agent, trajectory)
        after, info = self.learn(key, agent, prepared)
        some = with_kl(prepared.problem).thinned(_MEASURED_ROWS)
        return after, UpdateInfo(info.metrics | {"kl": some.kl(after.policy)}, info.finite)

    def copy(self, agent: Agent) -> Agent:
        """What has to be known of an agent in order to act and to compute gradients: no states of step rules."""
        return dataclasses.replace(agent, policy_state=None, critic_state=None)

    def gradients(self, copy: Agent, trajectory: Trajectory) -> tuple[Prepared, AbstractProblem]:
        """The first half of an update, for whoever holds a copy of the agent: its gradients, and not yet a step.

        **Returns** what `learn` asks for, of which nothing grows with the trajectory; and the problem that posed the
        policy's gradient, on some of its rows.
        """
        prepared = self._prepare(copy, trajectory)
        regression = prepared.regression
        given = dataclasses.replace(
            prepared,
            problem=GivenGradient.of(prepared.problem, copy.policy),
            regression=None if regression is None else GivenGradient.of(regression, copy.critic),
        )
        return given, with_kl(prepared.problem).thinned(_MEASURED_ROWS)

    def learn(self, key: Key[Array, ""], agent: Agent, prepared: Prepared) -> tuple[Agent, UpdateInfo]:
        """The second half of an update: move policy and critic, and add to the statistics.

        After `gradients` of the same agent it is `update`, for step rules that ask for one gradient. The agent may
        have moved since.
        """
        for_policy, for_critic = jax.random.split(key)
        policy = self._improve(for_policy, agent, prepared.problem)
        critic = self._evaluate(for_critic, agent, prepared.regression)
        metrics, finite = policy.metrics | prepared.metrics, prepared.finite.then(policy.finite)
        if critic is not None:
            metrics, finite = metrics | critic.metrics, finite.then(critic.finite)
        statistics = prepared.statistics
        after = Agent(
            policy=policy.parameters,
            critic=agent.critic if critic is None else critic.parameters,
            policy_state=policy.state,
            critic_state=agent.critic_state if critic is None else critic.state,
            observations=_merged(agent.observations, statistics.observations),
            rewards=_merged(agent.rewards, statistics.rewards, statistics.streams),
            updates=agent.updates + 1,
        )
        return after, UpdateInfo(metrics, finite)

    def _prepare(self, agent: Agent, trajectory: Trajectory) -> Prepared:
        """What the trajectory says: the two problems to be solved."""
        trajectory = jax.tree.map(jnp.asarray, trajectory)
        sampled = Finite.of(
            observation=(trajectory.obs, trajectory.next_obs),
            reward=trajectory.reward,
            action=trajectory.action,
            log_probability=trajectory.log_prob,
        )
        statistics = self._measured(agent, trajectory)
        seen = self._normalised(agent, statistics, trajectory)
        value, next_value = _values(self._critic(agent), seen)
        estimates = self.advantage(seen, value, next_value)
        advantage = estimates.advantage
        if self.normalise_advantages:
            advantage = normalise(advantage, seen.valid)
        batch = Batch.of(seen, Estimates(advantage, estimates.value_target))
        target = flatten(estimates.value_target)
        objective = self.objective.at(agent.updates.astype(jnp.float32) / self.spec.total_updates)
        problem = self.pose(objective, batch, agent.policy(batch.obs))
        some = problem.thinned(_MEASURED_ROWS)
        metrics = {"entropy": weighted_mean(some.old.entropy(), some.batch.weight)}
        if self._critic(agent) is not None:
            metrics["explained_variance"] = explained_variance(flatten(value), target, batch.weight)
        return Prepared(
            problem=problem,
            regression=None if self.critic_rule is None else self._regression(batch, target, flatten(value)),
            statistics=statistics,
            metrics=metrics,
            finite=sampled.then(Finite.of(value=(value, next_value), advantage=advantage)),
        )

    def _regression(
        self, batch: Batch, target: Float[Array, " B"], value: Float[Array, " B"]
    ) -> ValueRegression | ClippedRegression:
        regression = ValueRegression((batch.obs,), target, batch.weight)
        if self.value_clip_radius is None:
            return regression
        return ClippedRegression(regression, value, self.value_clip_radius)

    def _critic(self, agent: Agent) -> Callable[[AnyArray], Array] | None:
        """Whoever says what a state is worth: the critic, the second head of the policy, or nobody."""
        return agent.policy.value if self.architecture.policy == "shared" else agent.critic

    def _improve(self, key: Key[Array, ""], agent: Agent, problem: AbstractMaximisation) -> Moved:
        """Move the policy."""
        policy, state, info = self.policy_rule.step(key, agent.policy, problem, agent.policy_state)
        finite = Finite.of(objective=info["objective"], gradient=info["gradient_norm"], policy=policy)
        return Moved(policy, state, dict(info), finite)

    def _evaluate(self, key: Key[Array, ""], agent: Agent, regression: AbstractMaximisation | None) -> Moved | None:
        """Fit the critic, where there is one."""
        if self.critic_rule is None or regression is None:
            return None
        critic, state, info = self.critic_rule.step(key, agent.critic, regression, agent.critic_state)
        metrics = {
            "value_loss": -info["objective"],
            "value_gradient_norm": info["gradient_norm"],
        }
        finite = Finite.of(value_loss=info["objective"], value_gradient=info["gradient_norm"], critic=critic)
        return Moved(critic, state, metrics, finite)

    def _measured(self, agent: Agent, trajectory: Trajectory) -> Statistics:
        """The statistics of the trajectory itself."""
        observations, rewards, streams = None, None, None
        # Of demonstrations all were seen before learning began.
        if agent.observations is not None and not self.rollout.demonstrated:
            weight = flatten(trajectory.valid).astype(trajectory.reward.dtype)
            observations = agent.observations.measure(trajectory.obs, weight)
        if agent.rewards is not None:
            ended = jnp.logical_or(trajectory.terminated, trajectory.truncated)
            rewards, streams = agent.rewards.measure(trajectory.reward, ended, trajectory.valid, self.discount)
        return Statistics(observations, rewards, streams)

    def _normalised(self, agent: Agent, statistics: Statistics, trajectory: Trajectory) -> Trajectory:
        """The trajectory as the agent saw it; the reward's scale takes in this segment before it is used."""
        scaler = _merged(agent.rewards, statistics.rewards, statistics.streams)
        return eqx.tree_at(
            lambda each: (each.obs, each.next_obs, each.reward),
            trajectory,
            (
                _seen(agent, trajectory.obs),
                _seen(agent, trajectory.next_obs),
                trajectory.reward if scaler is None else scaler(trajectory.reward),
            ),
        )


def _merged(running: Any, *measured: Any) -> Any:
    """Running statistics with what was measured, where they are kept."""
    return running if measured[0] is None else running.merge(*measured)


def _seen(agent: Agent, obs: AnyArray) -> AnyArray:
    return obs if agent.observations is None else agent.observations(obs)


def _values(critic: Callable[[AnyArray], Array] | None, trajectory: Trajectory) -> tuple[Array, Array]:
    """$V(s_t)$, and $V(s'_t)$ wherever it counts, that is, unless step t terminated; 0 without a critic.

    Within an episode the successor is the next row's observation, so it is not evaluated again. That leaves the last
    row and the truncated ones, of which a stream hardly ever has two.
    """
    if critic is None:
        zero = jnp.zeros_like(trajectory.reward)
        return zero, zero
    truncated = trajectory.truncated.at[-1].set(False)
    first = jnp.argmax(truncated, axis=0)
    at_first = truncated & (jnp.arange(truncated.shape[0])[:, None] == first[None, :])

    def in_one_pass() -> tuple[Array, Array]:
        cut = trajectory.next_obs[first, jnp.arange(truncated.shape[1])]
        values = critic(jnp.concatenate([trajectory.obs, trajectory.next_obs[-1:], cut[None]]))
        return values[:-2], jnp.where(at_first, values[-1:], values[1:-1])

    def in_two_passes() -> tuple[Array, Array]:
        return critic(trajectory.obs), critic(trajectory.next_obs)

    return jax.lax.cond(jnp.all(at_first == truncated), in_one_pass, in_two_passes)


def explained_variance(value: Float[Array, " B"], target: Float[Array, " B"], weight: Float[Array, " B"]) -> Array:
    """$1 - \\mathrm{Var}(y - V)/\\mathrm{Var}(y)$: 1 for a perfect critic, 0 for one no better than a constant."""

    def variance(rows):
        return weighted_mean(jnp.square(rows - weighted_mean(rows, weight)), weight)

    total = variance(target)
    return jnp.where(total > 0, 1 - variance(target - value) / jnp.where(total > 0, total, 1), 0)
