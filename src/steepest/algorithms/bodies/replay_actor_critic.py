"""The body of algorithms with a replay buffer: remember transitions, fit critics of actions, improve, many times."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from steepest.algorithms.architecture import MakeNetworks
from steepest.algorithms.bodies.agent import Agent, best_guess, finite_samples, fresh_normaliser, with_observations
from steepest.algorithms.bodies.improvement import AbstractImprovement
from steepest.core.distributions import AbstractDistribution
from steepest.core.errors import InputError
from steepest.core.finiteness import Finite, UpdateInfo
from steepest.core.interfaces import AbstractAlgorithm, AbstractStepRule, RolloutSpec
from steepest.core.moments import NoRewardScaler
from steepest.core.problem import SampledProblem, weighted_mean
from steepest.core.schedules import at_progress
from steepest.core.spaces import Box, Spec, leaves
from steepest.core.trajectory import Batch, Trajectory
from steepest.core.types import PyTree
from steepest.critics import (
    AbstractActionValue,
    ClippedActions,
    MinimumActionValue,
    ValueRegression,
    deterministic_target,
    expected_target,
    polyak,
    within_bounds,
)
from steepest.policies import AbstractPolicy
from steepest.policies.behaviour import AbstractBehaviour, Uniform
from steepest.replay import ReplayBuffer, Transitions

Critics = tuple[AbstractActionValue, ...]


class Replay(eqx.Module):
    """The experience of an agent that learns from a replay buffer.

    - `ring`: the transitions.
    - `target_policy`, `target_critics`: slow copies (C6). A stochastic policy has none: None.
    - `steps`, `gradient_steps`: transitions seen, and steps of policy and critics made.
    """

    ring: ReplayBuffer | None
    target_policy: AbstractPolicy | None
    target_critics: Critics
    steps: Int[Array, ""]
    gradient_steps: Int[Array, ""]


class ReplayActorCritic(AbstractAlgorithm):
    """Put what was sampled into the replay buffer, then take gradient steps, each on rows drawn from all of it.

    - `networks`: draws the policy, and the critics of actions.
    - `exploration`: the behaviour that acts.
    - `improvement`: the problem that moves the policy.
    - `deterministic`: whether the critics' targets ask the policy's mode.
    - `policy_rule`, `critic_rule`: the step rules of the policy, and of each critic.
    - `target_rate`: τ of the targets, for each gradient step.
    - `capacity`: transitions in the buffer, of all streams together; no more are laid out than the run will make.
    - `batch_size`: rows in a gradient step. `gradient_steps`: for each update.
    - `return_steps`: rewards before the critic is asked.
    - `warm_up_steps`: transitions that are gathered by uniform actions, before learning begins.
    """

    spec: Spec = eqx.field(static=True)
    rollout: RolloutSpec = eqx.field(static=True)
    networks: MakeNetworks = eqx.field(static=True)
    exploration: AbstractBehaviour
    improvement: AbstractImprovement
    policy_rule: AbstractStepRule
    critic_rule: AbstractStepRule
    discount: float | Float[Array, ""]
    target_rate: float | Float[Array, ""]
    deterministic: bool = eqx.field(static=True)
    capacity: int = eqx.field(static=True)
    batch_size: int = eqx.field(static=True)
    gradient_steps: int = eqx.field(static=True)
    return_steps: int = eqx.field(static=True)
    warm_up_steps: int = eqx.field(static=True)
    normalise_observations: bool = eqx.field(static=True)

    @property
    def kept(self) -> int:
        """Transitions in the buffer of this run: at least those of a segment, and no more than it will make."""
        assert self.rollout.length is not None
        each = self.spec.num_envs * self.rollout.length
        return max(min(self.capacity, self.spec.total_updates * each), each)

    def init(self, key: Key[Array, ""]) -> Agent:
        drawn = self.networks(key, self.spec)
        policy, critics = drawn.policy, drawn.critic
        if not isinstance(critics, tuple):
            raise InputError(
                "networks: an algorithm with a replay buffer has critics of actions. Give a tuple of them."
            )
        zero = jnp.zeros((), jnp.int32)
        # Copies: what is given away to a compiled program must not be two things at once.
        target_policy, target_critics = jax.tree.map(jnp.copy, (policy if self.deterministic else None, critics))
        return Agent(
            policy=policy,
            critic=critics,
            policy_state=self.policy_rule.init(policy),
            critic_state=tuple(self.critic_rule.init(critic) for critic in critics),
            observations=fresh_normaliser(self.spec, self.normalise_observations),
            rewards=NoRewardScaler(),
            experience=Replay(ReplayBuffer.initial(self.spec, self.kept), target_policy, target_critics, zero, zero),
            updates=zero,
        )

    def initial_carry(self, spec: Spec) -> PyTree:
        return self.exploration.initial_carry(spec)

    def act(
        self, key: Key[Array, ""], agent: Agent, carry: PyTree, obs: PyTree
    ) -> tuple[PyTree, Float[Array, " N"], PyTree]:
        distribution = agent.policy(agent.observations(obs))
        if agent.experience is None:
            action = distribution.mode() if self.deterministic else distribution.sample(key)
            return action, distribution.log_prob(action), carry
        for_exploration, for_warm_up = jax.random.split(key)
        action, log_prob, carry = self.exploration.act(for_exploration, carry, distribution, obs)
        if not self.warm_up_steps:
            return action, log_prob, carry
        anything, its_log_prob, _ = Uniform(self.spec.action).act(for_warm_up, (), distribution, obs)
        warm = self._warm(agent.experience)
        action = jax.tree.map(lambda own, other: jnp.where(warm, own, other), action, anything)
        return action, jnp.where(warm, log_prob, its_log_prob), carry

    def act_deterministic(self, agent: Agent, carry: PyTree, obs: PyTree) -> tuple[PyTree, PyTree]:
        return best_guess(agent.policy(agent.observations(obs))), carry

    def distribution(self, agent: Agent, obs: PyTree) -> AbstractDistribution:
        return agent.policy(agent.observations(obs))

    def for_evaluation(self, agent: Agent) -> Agent:
        return dataclasses.replace(agent, experience=None)

    def keep_if_finite(self, after: Agent, before: Agent, good: Bool[Array, ""]) -> Agent:
        """The ring is not looked at: choosing between two of them would copy both, and it holds only what is finite."""
        new, old = (_with_ring(agent, None) for agent in (after, before))
        return _with_ring(super().keep_if_finite(new, old, good), after.experience.ring)

    def update(self, key: Key[Array, ""], agent: Agent, trajectory: Trajectory) -> tuple[Agent, UpdateInfo]:
        trajectory = jax.tree.map(jnp.asarray, trajectory)
        sampled = finite_samples(trajectory, self.spec.observation)
        good = jnp.all(sampled.flags)
        ring = agent.experience.ring.add(trajectory, good)
        steps = agent.experience.steps + jnp.sum(trajectory.valid, dtype=jnp.int32)
        agent = dataclasses.replace(
            agent,
            observations=with_observations(agent.observations, trajectory),
            experience=dataclasses.replace(agent.experience, ring=None, steps=steps),
            updates=agent.updates + 1,
        )
        count = jnp.where(good & self._warm(agent.experience), self.gradient_steps, 0)

        def once(index: Int[Array, ""], loop: tuple):
            return self._gradient_step(jax.random.fold_in(key, index), loop[0], ring)

        # NaN stays NaN in what is moved, so that the last gradient step tells of all.
        shapes = jax.eval_shape(once, 0, (agent, None, None))[1:]
        info, finite = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), shapes)
        agent, info, finite = jax.lax.fori_loop(0, count, once, (agent, info, finite))
        made = agent.experience.gradient_steps
        metrics = {name: jnp.where(count > 0, value, jnp.nan) for name, value in info.items()} | {
            "replayed": ring.size.astype(jnp.float32),
            "gradient_steps": made.astype(jnp.float32),
            "replay_ratio": made / jnp.maximum(steps, 1),
        }
        return _with_ring(agent, ring), UpdateInfo(metrics, sampled.then(finite))

    def _gradient_step(
        self, key: Key[Array, ""], agent: Agent, ring: ReplayBuffer
    ) -> tuple[Agent, dict[str, Array], Finite]:
        """One step of every critic, then of the policy, then of the targets."""
        for_rows, for_target, for_critics, for_problem, for_policy = jax.random.split(key, 5)
        progress = agent.progress(self.spec)
        policy_rule, critic_rule = at_progress((self.policy_rule, self.critic_rule), progress)
        rows = ring.draw(for_rows, self.batch_size, steps=self.return_steps, discount=self.discount)
        rows = dataclasses.replace(rows, obs=agent.observations(rows.obs), next_obs=agent.observations(rows.next_obs))
        regression = self._regression(for_target, agent, rows)
        fitted = [
            critic_rule.step(for_critics, critic, regression, state)
            for critic, state in zip(agent.critic, agent.critic_state, strict=True)
        ]
        critics = tuple(each[0] for each in fitted)
        problem = self._problem(for_problem, agent.policy, self._judge(critics), rows)
        policy, policy_state, info = policy_rule.step(for_policy, agent.policy, problem, agent.policy_state)
        critics = tuple(critic.with_policy(policy) for critic in critics)
        loss = -sum(each[2]["objective"] for each in fitted) / len(fitted)
        slope = jnp.stack([each[2]["gradient_norm"] for each in fitted]).max()
        metrics = dict(info) | {
            "value_loss": loss,
            "value_gradient_norm": slope,
            "value_target": jnp.mean(regression.target),
            "entropy": weighted_mean(problem.old.entropy(), problem.batch.weight),
        }
        finite = Finite.of(
            value=regression.target,
            value_loss=loss,
            value_gradient=slope,
            critic=critics,
            objective=info["objective"],
            gradient=info["gradient_norm"],
            policy=policy,
        )
        slow = agent.experience
        experience = dataclasses.replace(
            slow,
            target_policy=polyak(slow.target_policy, policy, self.target_rate) if self.deterministic else None,
            target_critics=polyak(slow.target_critics, critics, self.target_rate),
            gradient_steps=slow.gradient_steps + 1,
        )
        after = dataclasses.replace(
            agent,
            policy=policy,
            critic=critics,
            policy_state=policy_state,
            critic_state=tuple(each[1] for each in fitted),
            experience=experience,
        )
        return after, metrics, finite

    def _regression(self, key: Key[Array, ""], agent: Agent, rows: Transitions) -> ValueRegression:
        """What the critics are fitted to: the targets' value of what the policy would do next (C4)."""
        critic = self._judge(agent.experience.target_critics)
        successor = rows.reward, rows.next_obs, rows.terminated
        if self.deterministic:
            target = deterministic_target(critic, agent.experience.target_policy, *successor, discount=rows.discount)
        else:
            target = expected_target(key, critic, agent.policy, *successor, discount=rows.discount)
        action = within_bounds(self.spec.action, agent.policy(rows.obs).squash(rows.action))
        return ValueRegression((rows.obs, action), target, jnp.ones(self.batch_size, jnp.float32))

    def _problem(
        self, key: Key[Array, ""], policy: AbstractPolicy, critic: AbstractActionValue, rows: Transitions
    ) -> SampledProblem:
        """The problem that moves the policy."""
        one = jnp.ones(self.batch_size, jnp.float32)
        return self.improvement.problem(key, policy, critic, Batch(rows.obs, rows.action, rows.log_prob, one, one))

    def _judge(self, critics: Critics) -> AbstractActionValue:
        """The critics as one, of actions as the environment takes them."""
        critic = critics[0] if len(critics) == 1 else MinimumActionValue(critics)
        real = any(isinstance(leaf, Box) for _, leaf in leaves(self.spec.action))
        return ClippedActions(critic, self.spec.action) if real else critic

    def _warm(self, experience: Replay) -> Bool[Array, ""]:
        return experience.steps >= self.warm_up_steps


def _with_ring(agent: Agent, ring: ReplayBuffer | None) -> Agent:
    return dataclasses.replace(agent, experience=dataclasses.replace(agent.experience, ring=ring))
