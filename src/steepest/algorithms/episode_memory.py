"""The body of the algorithm that learns from episodes of policies that are no more."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from steepest.advantages import ImportanceWeighted, effective_sample_size
from steepest.algorithms.architecture import Architecture
from steepest.core.interfaces import AbstractAlgorithm, AbstractStepRule, RolloutSpec
from steepest.core.moments import Moments, ObservationNormaliser
from steepest.core.problem import SampledProblem, weighted_mean
from steepest.core.results import Finite, UpdateInfo
from steepest.core.spaces import Box, Spec
from steepest.core.trajectory import Batch, Estimates, Trajectory, flatten
from steepest.core.types import AnyArray, PyTree
from steepest.objectives import Score


class Agent(eqx.Module):
    """All that learning changes.

    - `memory`: the episodes of the last updates side by side, [T, K × N]; what was never played is not `valid`.
    - `updates`: made so far; the next episodes replace the oldest.
    """

    policy: Any
    step_state: PyTree
    memory: Trajectory
    updates: Int[Array, ""]
    observations: ObservationNormaliser | None


class EpisodeMemory(AbstractAlgorithm):
    """Play an episode of every stream, put them among those of the last updates, and take steps on all of them.

    - `weighting`: what the ratio of the policy as it is to the one that acted does to a return.
    - `policy_rule`: what moves the policy, on the score's problem; its weights are made anew for every step.
    - `batches`: K, updates whose episodes are kept.
    """

    spec: Spec = eqx.field(static=True)
    architecture: Architecture = eqx.field(static=True)
    weighting: ImportanceWeighted
    policy_rule: AbstractStepRule
    batches: int = eqx.field(static=True)
    gradient_steps: int = eqx.field(static=True)
    normalise_observations: bool = eqx.field(static=True)
    rollout: RolloutSpec = eqx.field(static=True, default=RolloutSpec(length=None, whole_episodes=True))

    def init(self, key: Key[Array, ""]) -> Agent:
        policy = self.architecture.draw_policy(key, self.spec)
        normalises = self.normalise_observations and isinstance(self.spec.observation, Box)
        return Agent(
            policy=policy,
            step_state=self.policy_rule.init(policy),
            memory=self._nothing(),
            updates=jnp.zeros((), jnp.int32),
            observations=ObservationNormaliser(Moments.initial(self.spec.observation.shape)) if normalises else None,
        )

    def act(self, key: Key[Array, ""], agent: Agent, obs: AnyArray) -> tuple[Array, Array]:
        return agent.policy(_seen(agent, obs)).sample_and_log_prob(key)

    def act_deterministic(self, agent: Agent, obs: AnyArray) -> Array:
        return agent.policy(_seen(agent, obs)).mode()

    def update(self, key: Key[Array, ""], agent: Agent, trajectory: Trajectory) -> tuple[Agent, UpdateInfo]:
        trajectory = jax.tree.map(jnp.asarray, trajectory)
        memory = self._remembered(agent, trajectory)
        seen = eqx.tree_at(lambda each: each.obs, memory, _seen(agent, memory.obs))

        def climb(carry, key):
            policy, state = carry
            problem, sample_size = self._problem(policy, seen)
            policy, state, info = self.policy_rule.step(key, policy, problem, state)
            return (policy, state), info | {"effective_sample_size": sample_size}

        keys = jax.random.split(key, self.gradient_steps)
        (policy, state), infos = jax.lax.scan(climb, (agent.policy, agent.step_state), keys)
        last = jax.tree.map(lambda leaf: leaf[-1], infos)
        before, after = agent.policy(_seen(agent, trajectory.obs)), policy(_seen(agent, trajectory.obs))
        weight = trajectory.valid.astype(jnp.float32).reshape(-1)
        metrics = last | {
            "entropy": weighted_mean(before.entropy().reshape(-1), weight),
            "kl": weighted_mean(before.kl(after).reshape(-1), weight),
        }
        finite = Finite.of(
            observation=(trajectory.obs, trajectory.next_obs),
            reward=trajectory.reward,
            action=trajectory.action,
            log_probability=trajectory.log_prob,
            objective=infos["objective"],
            gradient=infos["gradient_norm"],
            policy=policy,
        )
        observations = agent.observations
        if observations is not None:
            observations = observations.merge(observations.measure(trajectory.obs, weight))
        return Agent(policy, state, memory, agent.updates + 1, observations), UpdateInfo(metrics, finite)

    def _problem(self, policy: Any, memory: Trajectory) -> tuple[SampledProblem, Float[Array, ""]]:
        """The score of the policy as it is, and what the weights are worth, in steps or episodes."""
        distribution = policy(memory.obs)
        log_ratio = jax.lax.stop_gradient(distribution.log_prob(memory.action)) - memory.log_prob
        returns, log_weight = self.weighting(memory, log_ratio)
        valid = memory.valid.astype(returns.dtype)
        # A weighted average is subtracted with the weight of each row: its expectation under the score is 0.
        weight = jnp.minimum(jnp.exp(log_weight), self.weighting.limit) * valid
        returns = jnp.where(memory.valid, returns, 0)
        advantage = returns - weight * jnp.sum(returns) / jnp.maximum(jnp.sum(weight), 1e-8)
        rows = jnp.maximum(jnp.sum(valid), 1)
        advantage = advantage / (jnp.sqrt(jnp.sum(jnp.square(advantage)) / rows) + 1e-8)
        counted = jnp.where(memory.valid, log_weight, -jnp.inf)
        counted = counted[0] if self.weighting.kind == "whole" else counted.reshape(-1)
        batch = Batch.of(memory, Estimates(advantage, returns))
        return SampledProblem(Score(), batch, flatten(distribution)), effective_sample_size(counted)

    def _remembered(self, agent: Agent, trajectory: Trajectory) -> Trajectory:
        first = agent.updates % self.batches * self.spec.num_envs

        def put(kept: Array, new: Array) -> Array:
            return jax.lax.dynamic_update_slice_in_dim(kept, new.astype(kept.dtype), first, axis=1)

        return jax.tree.map(put, agent.memory, trajectory)

    def _nothing(self) -> Trajectory:
        """Room for the episodes of K updates, none of them played yet."""
        shape = (self.spec.max_episode_steps, self.batches * self.spec.num_envs)
        observation, action = self.spec.observation, self.spec.action
        zero, no = jnp.zeros(shape, jnp.float32), jnp.zeros(shape, bool)
        obs = jnp.zeros((*shape, *observation.shape), observation.dtype)
        actions = jnp.zeros((*shape, *action.shape), action.dtype)
        return Trajectory(obs, actions, obs, zero, zero, no, no, no)


def _seen(agent: Agent, obs: AnyArray) -> AnyArray:
    return obs if agent.observations is None else agent.observations(obs)
