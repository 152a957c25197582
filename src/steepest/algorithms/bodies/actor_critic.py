"""The body of on-policy algorithms: evaluate the policy on what it has just done, then improve it."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.advantages import AbstractAdvantage
from steepest.algorithms.architecture import MakeNetworks
from steepest.algorithms.bodies.agent import (
    Agent,
    ValueHead,
    best_guess,
    explained_variance,
    finite_samples,
    fresh_normaliser,
    fresh_scaler,
    of_rows_and_successors,
    state_values,
    value_of,
)
from steepest.algorithms.bodies.memories import Memories
from steepest.core.conversion import rows_of
from steepest.core.distributions import AbstractDistribution
from steepest.core.errors import InputError
from steepest.core.finiteness import Finite, UpdateInfo
from steepest.core.histories import observations_of
from steepest.core.interfaces import AbstractAlgorithm, AbstractStepRule, RolloutSpec
from steepest.core.moments import RewardStatistics
from steepest.core.problem import AbstractMaximisation, weighted_mean, with_kl
from steepest.core.schedules import at_progress
from steepest.core.spaces import Spec
from steepest.core.trajectory import Batch, Trajectory, flatten, with_memory
from steepest.core.types import PyTree
from steepest.critics import AbstractCriticObjective, SquaredError
from steepest.objectives import AbstractObjective

MEASURED_ROWS = 512
"""So many rows are enough to measure the entropy and the KL of an update; more would cost and tell no more."""


class Evaluation(eqx.Module):
    """What a trajectory says of the policy that made it: all that the improvement needs.

    - `problem`: of the policy. `regression`: of the critic; None where it has no step rule of its own.
    - `observations`, `rewards`: what the trajectory adds to the running statistics.
    """

    problem: AbstractMaximisation
    regression: AbstractMaximisation | None
    observations: PyTree
    rewards: RewardStatistics | None
    metrics: dict[str, Array]
    finite: Finite


class ActorCritic(AbstractAlgorithm):
    """Sample, evaluate, improve, on what the policy itself has done. Every part may be replaced by another of its kind.

    - `rollout`: segments of running episodes, whole episodes, or demonstrations.
    - `networks`: draws the policy and the critic.
    - `advantage`: estimates the advantage of every row.
    - `objective`: of the policy, on the rows with their advantages; maximised.
    - `policy_rule`: the step rule of the policy.
    - `critic_rule`: the step rule of the critic; None for no critic, or for one that shares the policy's network.
    - `critic_objective`: what the critic is fitted by.
    - `normalise_observations`, `scale_rewards`: by running moments that are part of the agent.
    """

    spec: Spec = eqx.field(static=True)
    rollout: RolloutSpec = eqx.field(static=True)
    networks: MakeNetworks = eqx.field(static=True)
    advantage: AbstractAdvantage
    objective: AbstractObjective
    policy_rule: AbstractStepRule
    critic_rule: AbstractStepRule | None
    discount: float | Float[Array, ""]
    critic_objective: AbstractCriticObjective = SquaredError()
    normalise_observations: bool = eqx.field(static=True, default=False)
    scale_rewards: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if self.policy_rule.needs_surrogate and not self.objective.surrogate:
            raise InputError(
                f"policy_rule is {type(self.policy_rule).__name__}, which asks for the objective away from the policy "
                "that acted; the score is the gradient of nothing there. Take the objective Ratio, or the rule Ascent."
            )

    def init(self, key: Key[Array, ""]) -> Agent:
        drawn = self.networks(key, self.spec)
        if (drawn.critic is None) != (self.critic_rule is None):
            has, lacks = ("critic", "critic_rule") if self.critic_rule is None else ("critic_rule", "critic")
            raise InputError(f"there is a {has}, but no {lacks} to go with it. Give both, or neither.")
        return Agent(
            policy=drawn.policy,
            critic=drawn.critic,
            policy_state=self.policy_rule.init(drawn.policy),
            critic_state=None if self.critic_rule is None else self.critic_rule.init(drawn.critic),
            observations=fresh_normaliser(self.spec, self.normalise_observations),
            rewards=fresh_scaler(self.spec, self.scale_rewards),
            experience=None,
            updates=jnp.zeros((), jnp.int32),
        )

    def initial_carry(self, spec: Spec) -> PyTree:
        networks = jax.eval_shape(lambda key: self.networks(key, spec), jax.random.key(0))
        return Memories.initial(networks, spec.num_envs)

    def act(
        self, key: Key[Array, ""], agent: Agent, carry: PyTree, obs: PyTree
    ) -> tuple[PyTree, Float[Array, " N"], PyTree]:
        distribution, carry = self._step(agent, carry, obs)
        return *distribution.sample_and_log_prob(key), carry

    def act_deterministic(self, agent: Agent, carry: PyTree, obs: PyTree) -> tuple[PyTree, PyTree]:
        distribution, carry = self._step(agent, carry, obs)
        return best_guess(distribution), carry

    def _step(self, agent: Agent, carry: PyTree, obs: PyTree) -> tuple[AbstractDistribution, Memories]:
        """The distributions for the next observation of every stream, and what policy and critic remember of it."""
        seen, before = agent.observations(obs), Memories.of(carry)
        distribution, memory = agent.policy.step(before.policy, seen)
        return distribution, Memories(memory, before.of_critic_after(agent, seen))

    def distribution(self, agent: Agent, obs: PyTree) -> AbstractDistribution:
        return agent.policy(agent.observations(obs))

    def update_normaliser(self, agent: Agent, obs: PyTree) -> Agent:
        """The agent with these observations, [B, …], in the moments that it normalises with, if it does."""
        known = agent.observations.merge(agent.observations.measure(obs, jnp.ones(rows_of(obs), jnp.float32)))
        return dataclasses.replace(agent, observations=known)

    def update(self, key: Key[Array, ""], agent: Agent, trajectory: Trajectory) -> tuple[Agent, UpdateInfo]:
        evaluation = self.evaluate(agent, trajectory)
        after, info = self.improve(key, agent, evaluation)
        some = with_kl(evaluation.problem).thinned(MEASURED_ROWS)
        return after, UpdateInfo(info.metrics | {"kl": some.kl(after.policy)}, info.finite)

    def evaluate(self, agent: Agent, trajectory: Trajectory) -> Evaluation:
        """Estimate advantages, and make the problems whose solutions are a better policy and a better critic."""
        trajectory = jax.tree.map(jnp.asarray, trajectory)
        sampled, memories = finite_samples(trajectory, self.spec.observation), Memories.of(trajectory.carry)
        observations, rewards = self._statistics(agent, trajectory)
        # The reward's scale takes in this segment before it is used; observations keep the scale they were seen with.
        seen = dataclasses.replace(
            trajectory,
            obs=agent.observations(trajectory.obs),
            next_obs=agent.observations(trajectory.next_obs),
            reward=agent.rewards.merge(rewards)(trajectory.reward),
            carry=memories.policy,
        )
        value, next_value, old = _values(agent, dataclasses.replace(seen, carry=memories.of_value(agent)))
        estimates = self.advantage(seen, value, next_value)
        batch = Batch.of(seen, estimates)
        objective, critic_objective = at_progress((self.objective, self.critic_objective), agent.progress(self.spec))
        problem = objective.problem(batch, agent.policy, old)
        some, target = problem.thinned(MEASURED_ROWS), flatten(estimates.value_target)
        metrics = {"entropy": weighted_mean(some.old.entropy(), some.batch.weight)}
        if value_of(agent) is not None:
            metrics["explained_variance"] = explained_variance(flatten(value), target, batch.weight)
        regression = None
        if self.critic_rule is not None:
            rows = with_memory(observations_of(batch.obs), trajectory, memories.critic)
            regression = critic_objective.problem(rows, flatten(value), target, batch.weight)
        finite = sampled.then(Finite.of(value=(value, next_value), advantage=estimates.advantage))
        return Evaluation(problem, regression, observations, rewards, metrics, finite)

    def improve(self, key: Key[Array, ""], agent: Agent, evaluation: Evaluation) -> tuple[Agent, UpdateInfo]:
        """Move policy and critic by their step rules, and add what was measured to the statistics."""
        for_policy, for_critic = jax.random.split(key)
        policy_rule, critic_rule = at_progress((self.policy_rule, self.critic_rule), agent.progress(self.spec))
        policy, policy_state, info = policy_rule.step(for_policy, agent.policy, evaluation.problem, agent.policy_state)
        moved = Finite.of(objective=info["objective"], gradient=info["gradient_norm"], policy=policy)
        metrics, finite = dict(info) | evaluation.metrics, evaluation.finite.then(moved)
        critic, critic_state = agent.critic, agent.critic_state
        if critic_rule is not None and evaluation.regression is not None:
            critic, critic_state, info = critic_rule.step(for_critic, critic, evaluation.regression, critic_state)
            loss, slope = info["objective"], info["gradient_norm"]
            metrics |= {"value_loss": -loss, "value_gradient_norm": slope}
            finite = finite.then(Finite.of(value_loss=loss, value_gradient=slope, critic=critic))
        after = dataclasses.replace(
            agent,
            policy=policy,
            critic=critic,
            policy_state=policy_state,
            critic_state=critic_state,
            observations=agent.observations.merge(evaluation.observations),
            rewards=agent.rewards.merge(evaluation.rewards),
            updates=agent.updates + 1,
        )
        return after, UpdateInfo(metrics, finite)

    def _statistics(self, agent: Agent, trajectory: Trajectory) -> tuple[PyTree, RewardStatistics | None]:
        """What the trajectory itself adds to the running statistics."""
        observations = None
        if not self.rollout.demonstrated:  # demonstrations were all seen before learning began
            weight = flatten(trajectory.valid).astype(trajectory.reward.dtype)
            observations = agent.observations.measure(trajectory.obs, weight)
        ended = jnp.logical_or(trajectory.terminated, trajectory.truncated)
        return observations, agent.rewards.measure(trajectory.reward, ended, trajectory.valid, self.discount)


def _values(agent: Agent, seen: Trajectory) -> tuple[Array, Array, AbstractDistribution | None]:
    """The values of every row and of its successor; and its distribution where the same network has found it."""
    critic = value_of(agent)
    if isinstance(critic, ValueHead) and not jax.tree.leaves(seen.carry):
        (old, value), (_, next_value) = of_rows_and_successors(critic.policy.both, seen)
        return value, next_value, flatten(old)
    return *state_values(critic, seen), None
