"""The body of the algorithm that learns from the episodes of earlier policies too."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.advantages import ImportanceWeighted, effective_sample_size
from steepest.algorithms.architecture import MakeNetworks
from steepest.algorithms.bodies.agent import Agent, best_guess, finite_samples, fresh_normaliser, with_observations
from steepest.core.distributions import AbstractDistribution
from steepest.core.finiteness import Finite, UpdateInfo
from steepest.core.interfaces import AbstractAlgorithm, AbstractStepRule, RolloutSpec
from steepest.core.moments import NoRewardScaler
from steepest.core.problem import SampledProblem, weighted_mean
from steepest.core.schedules import at_progress
from steepest.core.spaces import Spec, map_leaves
from steepest.core.trajectory import Batch, Estimates, Trajectory, flatten
from steepest.core.types import PyTree
from steepest.objectives import Score
from steepest.policies import AbstractPolicy


class EpisodeMemory(AbstractAlgorithm):
    """Play an episode of every stream, put them among those of the last updates, and take steps on all of them.

    The agent's experience is the episodes of the last updates side by side, [T, K × N]; rows that were never played
    are not `valid`, and the next episodes replace the oldest.

    - `networks`: draws the policy.
    - `weighting`: importance-weighted returns, of the policy as it is on episodes of earlier ones.
    - `policy_rule`: the step rule of the policy, on the score's problem; its weights are made anew for every step.
    - `batches`: K, updates whose episodes are kept.
    - `gradient_steps`: steps of the policy in an update.
    """

    spec: Spec = eqx.field(static=True)
    networks: MakeNetworks = eqx.field(static=True)
    weighting: ImportanceWeighted
    policy_rule: AbstractStepRule
    batches: int = eqx.field(static=True)
    gradient_steps: int = eqx.field(static=True)
    normalise_observations: bool = eqx.field(static=True)
    rollout: RolloutSpec = eqx.field(static=True, default=RolloutSpec(length=None, whole_episodes=True))

    def init(self, key: Key[Array, ""]) -> Agent:
        policy = self.networks(key, self.spec).policy
        return Agent(
            policy=policy,
            critic=None,
            policy_state=self.policy_rule.init(policy),
            critic_state=None,
            observations=fresh_normaliser(self.spec, self.normalise_observations),
            rewards=NoRewardScaler(),
            experience=self._no_episodes(),
            updates=jnp.zeros((), jnp.int32),
        )

    def act(
        self, key: Key[Array, ""], agent: Agent, carry: PyTree, obs: PyTree
    ) -> tuple[PyTree, Float[Array, " N"], PyTree]:
        return *agent.policy(agent.observations(obs)).sample_and_log_prob(key), carry

    def act_deterministic(self, agent: Agent, carry: PyTree, obs: PyTree) -> tuple[PyTree, PyTree]:
        return best_guess(agent.policy(agent.observations(obs))), carry

    def distribution(self, agent: Agent, obs: PyTree) -> AbstractDistribution:
        return agent.policy(agent.observations(obs))

    def update(self, key: Key[Array, ""], agent: Agent, trajectory: Trajectory) -> tuple[Agent, UpdateInfo]:
        trajectory = jax.tree.map(jnp.asarray, trajectory)
        episodes = self._remembered(agent, trajectory)
        seen = dataclasses.replace(episodes, obs=agent.observations(episodes.obs))
        policy_rule = at_progress(self.policy_rule, agent.progress(self.spec))

        def step(carry: tuple[AbstractPolicy, PyTree], key: Key[Array, ""]):
            policy, state = carry
            problem, sample_size = self._problem(policy, seen)
            policy, state, info = policy_rule.step(key, policy, problem, state)
            return (policy, state), info | {"effective_sample_size": sample_size}

        keys = jax.random.split(key, self.gradient_steps)
        (policy, state), infos = jax.lax.scan(step, (agent.policy, agent.policy_state), keys)
        own = agent.observations(trajectory.obs)
        before, after = agent.policy(own), policy(own)
        weight = flatten(trajectory.valid).astype(jnp.float32)
        metrics = jax.tree.map(lambda leaf: leaf[-1], infos) | {
            "entropy": weighted_mean(before.entropy().reshape(-1), weight),
            "kl": weighted_mean(before.kl(after).reshape(-1), weight),
        }
        moved = Finite.of(objective=infos["objective"], gradient=infos["gradient_norm"], policy=policy)
        agent = dataclasses.replace(
            agent,
            policy=policy,
            policy_state=state,
            observations=with_observations(agent.observations, trajectory),
            experience=episodes,
            updates=agent.updates + 1,
        )
        return agent, UpdateInfo(metrics, finite_samples(trajectory, self.spec.observation).then(moved))

    def _problem(self, policy: AbstractPolicy, memory: Trajectory) -> tuple[SampledProblem, Float[Array, ""]]:
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
            # Where all episodes were short, so is the trajectory.
            rest = jnp.zeros((kept.shape[0] - new.shape[0], *new.shape[1:]), new.dtype)
            new = jnp.concatenate([new, rest])
            return jax.lax.dynamic_update_slice_in_dim(kept, new.astype(kept.dtype), first, axis=1)

        return jax.tree.map(put, agent.experience, dataclasses.replace(trajectory, carry=()))

    def _no_episodes(self) -> Trajectory:
        """Room for the episodes of K updates, none of which was played yet."""
        shape = (self.spec.max_episode_steps, self.batches * self.spec.num_envs)
        zero, no = jnp.zeros(shape, jnp.float32), jnp.zeros(shape, bool)
        obs, actions = (
            map_leaves(lambda leaf: jnp.zeros((*shape, *leaf.shape), leaf.dtype), space)
            for space in (self.spec.observation, self.spec.action)
        )
        return Trajectory(obs, actions, obs, zero, zero, no, no, no)
