"""The body that on-policy algorithms share: evaluate, estimate, improve."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

import steepest._platform  # noqa: F401
from steepest.advantages import normalise
from steepest.algorithms.architecture import Architecture
from steepest.core.interfaces import AbstractAlgorithm, AbstractStepRule, Feed
from steepest.core.moments import Moments, ObservationNormaliser, RewardScaler
from steepest.core.problem import Objective, SampledProblem, weighted_mean
from steepest.core.results import Finite, UpdateInfo
from steepest.core.spaces import Box, Spec
from steepest.core.trajectory import Batch, Estimates, Trajectory, flatten
from steepest.core.types import AnyArray, PyTree
from steepest.critics import StateValue, ValueRegression

_MEASURED_ROWS = 512
"""So many rows are enough to measure the entropy and the KL of an update; more would cost and tell no more."""


class Agent(eqx.Module):
    """All that learning changes.

    - `policy`, `critic`: their array leaves are the parameters; no critic, and every value is 0.
    - `policy_state`, `critic_state`: of the step rules.
    - `observations`, `rewards`: running normalisation, where it was asked for.
    """

    policy: Any
    critic: StateValue | None
    policy_state: PyTree
    critic_state: PyTree
    observations: ObservationNormaliser | None
    rewards: RewardScaler | None


class Prepared(eqx.Module):
    """What an update learns from: a problem for the policy, a regression for the critic, and the next statistics."""

    problem: SampledProblem
    regression: ValueRegression
    explained_variance: Float[Array, ""]
    observations: ObservationNormaliser | None
    rewards: RewardScaler | None
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
    - `step_rule`: what moves the policy.
    - `critic_rule`: what moves the critic, on the regression to `value_target`; `None` for no critic, or for one that
      shares the policy's network and moves with it.
    - `normalise_advantages`: standardise them over the valid rows.
    - `normalise_observations`, `scale_rewards`: by running moments that are part of the agent.
    """

    spec: Spec = eqx.field(static=True)
    feed: Feed = eqx.field(static=True)
    architecture: Architecture = eqx.field(static=True)
    advantage: Callable[..., Estimates]
    objective: Objective
    step_rule: AbstractStepRule
    critic_rule: AbstractStepRule | None
    discount: float | Float[Array, ""]
    normalise_advantages: bool = eqx.field(static=True)
    normalise_observations: bool = eqx.field(static=True)
    scale_rewards: bool = eqx.field(static=True)

    def init(self, key: Key[Array, ""]) -> Agent:
        for_policy, for_critic = jax.random.split(key)
        policy = self.architecture.draw_policy(for_policy, self.spec)
        critic = self.architecture.draw_critic(for_critic, self.spec) if self.critic_rule is not None else None
        normalises = self.normalise_observations and isinstance(self.spec.observation, Box)
        return Agent(
            policy=policy,
            critic=critic,
            policy_state=self.step_rule.init(policy),
            critic_state=self.critic_rule.init(critic) if self.critic_rule is not None else None,
            observations=ObservationNormaliser(Moments.initial(self.spec.observation.shape)) if normalises else None,
            rewards=RewardScaler.initial(self.spec.num_envs) if self.scale_rewards else None,
        )

    def act(self, key: Key[Array, ""], agent: Agent, obs: AnyArray) -> tuple[Array, Array]:
        return agent.policy(_seen(agent, obs)).sample_and_log_prob(key)

    def act_deterministic(self, agent: Agent, obs: AnyArray) -> Array:
        return agent.policy(_seen(agent, obs)).mode()

    def log_prob(self, agent: Agent, obs: AnyArray, action: AnyArray) -> Array:
        """$\\log\\pi(a|s)$ of actions that anybody took, in nats."""
        return agent.policy(_seen(agent, obs)).log_prob(action)

    def acquaint(self, agent: Agent, obs: AnyArray) -> Agent:
        """The agent with these observations, [B, …], in the moments that it normalises with, if it does."""
        if agent.observations is None:
            return agent
        known = agent.observations.update(obs, jnp.ones(obs.shape[0]))
        return dataclasses.replace(agent, observations=known)

    def update(self, key: Key[Array, ""], agent: Agent, trajectory: Trajectory) -> tuple[Agent, UpdateInfo]:
        for_policy, for_critic = jax.random.split(key)
        prepared = self._prepare(agent, trajectory)
        policy = self._improve(for_policy, agent, prepared)
        critic = self._evaluate(for_critic, agent, prepared)
        return self._join(agent, prepared, policy, critic)

    def _prepare(self, agent: Agent, trajectory: Trajectory) -> "Prepared":
        """What the trajectory says: the two problems to be solved."""
        trajectory = jax.tree.map(jnp.asarray, trajectory)
        sampled = Finite.of(
            observation=(trajectory.obs, trajectory.next_obs),
            reward=trajectory.reward,
            action=trajectory.action,
            log_probability=trajectory.log_prob,
        )
        seen, rewards = self._normalised(agent, trajectory)
        value, next_value = _values(self._critic(agent), seen)
        estimates = self.advantage(seen, value, next_value)
        advantage = estimates.advantage
        if self.normalise_advantages:
            advantage = normalise(advantage, seen.valid)
        batch = Batch.of(seen, Estimates(advantage, estimates.value_target))
        observations = agent.observations
        if observations is not None and not self.feed.demonstrated:  # all demonstrations were seen before
            observations = observations.update(trajectory.obs, batch.weight)
        target = flatten(estimates.value_target)
        return Prepared(
            problem=SampledProblem(self.objective, batch, agent.policy(batch.obs)),
            regression=ValueRegression((batch.obs,), target, batch.weight),
            explained_variance=explained_variance(flatten(value), target, batch.weight),
            observations=observations,
            rewards=rewards,
            finite=sampled.then(Finite.of(value=(value, next_value), advantage=advantage)),
        )

    def _critic(self, agent: Agent) -> Callable[[AnyArray], Array] | None:
        """Whoever says what a state is worth: the critic, the second head of the policy, or nobody."""
        return agent.policy.value if self.architecture.policy == "shared" else agent.critic

    def _improve(self, key: Key[Array, ""], agent: Agent, prepared: "Prepared") -> "Moved":
        """Move the policy, and measure how far it went."""
        policy, state, info = self.step_rule.step(key, agent.policy, prepared.problem, agent.policy_state)
        some = prepared.problem.thinned(_MEASURED_ROWS)
        metrics = dict(info) | {"entropy": weighted_mean(some.old.entropy(), some.batch.weight), "kl": some.kl(policy)}
        finite = Finite.of(objective=info["objective"], gradient=info["gradient_norm"], policy=policy)
        return Moved(policy, state, metrics, finite)

    def _evaluate(self, key: Key[Array, ""], agent: Agent, prepared: "Prepared") -> "Moved | None":
        """Fit the critic, where there is one."""
        if self.critic_rule is None:
            return None
        critic, state, info = self.critic_rule.step(key, agent.critic, prepared.regression, agent.critic_state)
        metrics = {
            "value_loss": -info["objective"],
            "value_gradient_norm": info["gradient_norm"],
        }
        finite = Finite.of(value_loss=info["objective"], value_gradient=info["gradient_norm"], critic=critic)
        return Moved(critic, state, metrics, finite)

    def _join(
        self, agent: Agent, prepared: "Prepared", policy: "Moved", critic: "Moved | None"
    ) -> tuple[Agent, UpdateInfo]:
        """The agent after both."""
        metrics, finite = policy.metrics, prepared.finite.then(policy.finite)
        if self._critic(agent) is not None:
            metrics = metrics | {"explained_variance": prepared.explained_variance}
        if critic is not None:
            metrics, finite = metrics | critic.metrics, finite.then(critic.finite)
        after = Agent(
            policy=policy.parameters,
            critic=agent.critic if critic is None else critic.parameters,
            policy_state=policy.state,
            critic_state=agent.critic_state if critic is None else critic.state,
            observations=prepared.observations,
            rewards=prepared.rewards,
        )
        return after, UpdateInfo(metrics, finite)

    def _normalised(self, agent: Agent, trajectory: Trajectory) -> tuple[Trajectory, RewardScaler | None]:
        """The trajectory as the agent saw it; the reward's scale takes in this segment before it is used."""
        rewards, scaled = agent.rewards, trajectory.reward
        if rewards is not None:
            ended = jnp.logical_or(trajectory.terminated, trajectory.truncated)
            rewards = rewards.update(trajectory.reward, ended, trajectory.valid, self.discount)
            scaled = rewards(trajectory.reward)
        seen = eqx.tree_at(
            lambda each: (each.obs, each.next_obs, each.reward),
            trajectory,
            (_seen(agent, trajectory.obs), _seen(agent, trajectory.next_obs), scaled),
        )
        return seen, rewards


def _seen(agent: Agent, obs: AnyArray) -> AnyArray:
    return obs if agent.observations is None else agent.observations(obs)


def _values(critic: Callable[[AnyArray], Array] | None, trajectory: Trajectory) -> tuple[Array, Array]:
    """$V(s_t)$, and $V(s'_t)$ wherever it counts, that is, unless step t terminated; 0 without a critic.

    Within an episode the successor is the next row's observation, so it is not evaluated again. That leaves the last
    row and the truncated ones, of which a stream hardly ever has two.
    """
    if critic is None:
        zero = jnp.zeros(trajectory.reward.shape)
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
