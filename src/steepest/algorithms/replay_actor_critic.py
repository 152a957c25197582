"""The body of the algorithms that learn from a ring of transitions: remember, evaluate actions, improve, many times."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from steepest.algorithms.architecture import Architecture
from steepest.algorithms.improvement import AbstractImprovement
from steepest.core.interfaces import AbstractAlgorithm, AbstractStepRule, RolloutSpec
from steepest.core.moments import Moments, ObservationNormaliser
from steepest.core.problem import SampledProblem, weighted_mean
from steepest.core.results import Finite, UpdateInfo
from steepest.core.spaces import Box, Spec
from steepest.core.trajectory import Batch, Trajectory, flatten
from steepest.core.types import AnyArray, PyTree
from steepest.critics import (
    AbstractActionValue,
    LeastActionValue,
    ValueRegression,
    WithinBounds,
    deterministic_target,
    expected_target,
    polyak,
    within_bounds,
)
from steepest.policies.behaviour import AbstractBehaviour, Uniform
from steepest.replay import Replayed, Ring


class Agent(eqx.Module):
    """All that learning changes.

    - `critics`: one, or two whose lesser word counts.
    - `target_policy`, `target_critics`: which follow slowly. A stochastic policy has no target: None.
    - `policy_state`, `critic_states`: of the step rules.
    - `observations`: running normalisation, where it was asked for.
    - `ring`: the transitions; None once the agent is for_evaluation.
    - `behaviour`: what acting carries from step to step.
    - `steps`, `gradient_steps`: transitions seen, and steps of policy and critics made.
    """

    policy: Any
    critics: tuple[Any, ...]
    target_policy: Any
    target_critics: tuple[Any, ...]
    policy_state: PyTree
    critic_states: tuple[PyTree, ...]
    observations: ObservationNormaliser | None
    ring: Ring | None
    behaviour: PyTree
    steps: Int[Array, ""]
    gradient_steps: Int[Array, ""]


class ReplayActorCritic(AbstractAlgorithm):
    """Put what was sampled into the ring; then take `gradient_steps` steps, each on rows drawn from all of it.

    - `behaviour`: who acts.
    - `improvement`: the problem that moves the policy.
    - `deterministic`: the policy is its mode; that is what the critics' targets ask.
    - `policy_rule`, `critic_rule`: what moves the policy, and each critic.
    - `critics`: how many.
    - `target_rate`: τ of the targets, for each gradient step.
    - `capacity`: transitions in the ring, of all streams together.
    - `batch_size`: rows in a gradient step. `gradient_steps`: for each update.
    - `return_steps`: rewards before the critic is asked.
    - `warm_up_steps`: transitions that are gathered by uniform actions, before learning begins.
    """

    spec: Spec = eqx.field(static=True)
    rollout: RolloutSpec = eqx.field(static=True)
    architecture: Architecture = eqx.field(static=True)
    behaviour: AbstractBehaviour
    improvement: AbstractImprovement
    policy_rule: AbstractStepRule
    critic_rule: AbstractStepRule
    discount: float | Float[Array, ""]
    target_rate: float | Float[Array, ""]
    deterministic: bool = eqx.field(static=True)
    critics: int = eqx.field(static=True)
    capacity: int = eqx.field(static=True)
    batch_size: int = eqx.field(static=True)
    gradient_steps: int = eqx.field(static=True)
    return_steps: int = eqx.field(static=True)
    warm_up_steps: int = eqx.field(static=True)
    normalise_observations: bool = eqx.field(static=True)

    def init(self, key: Key[Array, ""]) -> Agent:
        for_policy, *for_critics = jax.random.split(key, 1 + self.critics)
        policy = self.architecture.draw_policy(for_policy, self.spec)
        critics = tuple(self._draw_critic(each, policy) for each in for_critics)
        normalises = self.normalise_observations and isinstance(self.spec.observation, Box)
        zero = jnp.zeros((), jnp.int32)
        return Agent(
            policy=policy,
            critics=critics,
            # Copies: what is given away to a compiled program must not be two things at once.
            target_policy=jax.tree.map(jnp.copy, policy) if self.deterministic else None,
            target_critics=jax.tree.map(jnp.copy, critics),
            policy_state=self.policy_rule.init(policy),
            critic_states=tuple(self.critic_rule.init(critic) for critic in critics),
            observations=ObservationNormaliser(Moments.initial(self.spec.observation.shape)) if normalises else None,
            ring=Ring.initial(self.spec, self.capacity),
            behaviour=self.behaviour.init(self.spec),
            steps=zero,
            gradient_steps=zero,
        )

    def act(self, key: Key[Array, ""], agent: Agent, obs: AnyArray) -> tuple[Array, Array]:
        distribution = agent.policy(_seen(agent, obs))
        if agent.ring is None:
            action = distribution.mode() if self.deterministic else distribution.sample(key)
            return action, distribution.log_prob(action)
        for_behaviour, for_warm_up = jax.random.split(key)
        acted = self.behaviour.act(for_behaviour, agent.behaviour, distribution, obs)
        if not self.warm_up_steps:
            return acted
        anything = Uniform(self.spec.action).act(for_warm_up, (), distribution, obs)
        return jax.tree.map(lambda one, other: jnp.where(self._warm(agent), one, other), acted, anything)

    def for_evaluation(self, agent: Agent) -> Agent:
        return dataclasses.replace(agent, ring=None, behaviour=None)

    def act_deterministic(self, agent: Agent, obs: AnyArray) -> Array:
        return agent.policy(_seen(agent, obs)).mode()

    def keep_if_finite(self, after: Agent, before: Agent, good: Bool[Array, ""]) -> Agent:
        """The ring is not looked at: choosing between two of them would copy both, and it holds only what is finite."""
        new, old = (dataclasses.replace(agent, ring=None) for agent in (after, before))
        return dataclasses.replace(super().keep_if_finite(new, old, good), ring=after.ring)

    def update(self, key: Key[Array, ""], agent: Agent, trajectory: Trajectory) -> tuple[Agent, UpdateInfo]:
        for_learning, for_behaviour = jax.random.split(key)
        trajectory = jax.tree.map(jnp.asarray, trajectory)
        sampled = Finite.of(
            observation=(trajectory.obs, trajectory.next_obs),
            reward=trajectory.reward,
            action=trajectory.action,
            log_probability=trajectory.log_prob,
        )
        good = jnp.all(sampled.flags)
        assert agent.ring is not None  # a for_evaluation agent does not learn
        ring = agent.ring.add(trajectory, good)
        agent = self._remembered(for_behaviour, agent, trajectory)
        count = jnp.where(good & self._warm(agent), self.gradient_steps, 0)
        agent, info, finite = self._learn(for_learning, agent, ring, count)
        metrics = {name: jnp.where(count > 0, value, jnp.nan) for name, value in info.items()} | {
            "replayed": ring.size.astype(jnp.float32),
            "gradient_steps": agent.gradient_steps.astype(jnp.float32),
            "replay_ratio": agent.gradient_steps / jnp.maximum(agent.steps, 1),
        }
        return dataclasses.replace(agent, ring=ring), UpdateInfo(metrics, sampled.then(finite))

    def _remembered(self, key: Key[Array, ""], agent: Agent, trajectory: Trajectory) -> Agent:
        """The agent after acting, without its ring."""
        observations = agent.observations
        if observations is not None:
            weight = flatten(trajectory.valid).astype(jnp.float32)
            observations = observations.merge(observations.measure(trajectory.obs, weight))
        ended = trajectory.terminated | trajectory.truncated
        steps = agent.steps + jnp.sum(trajectory.valid, dtype=jnp.int32)
        behaviour = self.behaviour.advance(key, agent.behaviour, ended)
        return dataclasses.replace(agent, observations=observations, steps=steps, behaviour=behaviour, ring=None)

    def _learn(
        self, key: Key[Array, ""], agent: Agent, ring: Ring, count: Int[Array, ""]
    ) -> tuple[Agent, dict[str, Array], Finite]:
        """So many gradient steps. NaN stays NaN in what is moved, so that the last one tells of all."""

        def once(index, loop):
            agent, _, _ = loop
            return self._gradient_step(jax.random.fold_in(key, index), agent, ring)

        shapes = jax.eval_shape(once, 0, (agent, None, None))[1:]
        info, finite = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), shapes)
        return jax.lax.fori_loop(0, count, once, (agent, info, finite))

    def _gradient_step(self, key: Key[Array, ""], agent: Agent, ring: Ring) -> tuple[Agent, dict[str, Array], Finite]:
        """One step of every critic, then of the policy, then of the targets."""
        for_rows, for_target, for_critics, for_problem, for_policy = jax.random.split(key, 5)
        rows = ring.draw(for_rows, self.batch_size, steps=self.return_steps, discount=self.discount)
        rows = dataclasses.replace(rows, obs=_seen(agent, rows.obs), next_obs=_seen(agent, rows.next_obs))
        regression = self._regression(for_target, agent, rows)
        fitted = [
            self.critic_rule.step(for_critics, critic, regression, state)
            for critic, state in zip(agent.critics, agent.critic_states, strict=True)
        ]
        critics = tuple(each[0] for each in fitted)
        problem = self._problem(for_problem, agent.policy, self._judge(critics), rows)
        policy, policy_state, info = self.policy_rule.step(for_policy, agent.policy, problem, agent.policy_state)
        critics = tuple(self._beside(critic, policy) for critic in critics)
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
        after = dataclasses.replace(
            agent,
            policy=policy,
            critics=critics,
            target_policy=polyak(agent.target_policy, policy, self.target_rate) if self.deterministic else None,
            target_critics=polyak(agent.target_critics, critics, self.target_rate),
            policy_state=policy_state,
            critic_states=tuple(each[1] for each in fitted),
            gradient_steps=agent.gradient_steps + 1,
        )
        return after, metrics, finite

    def _draw_critic(self, key: Key[Array, ""], policy: Any) -> Any:
        return self.architecture.draw_action_value(key, self.spec, policy)

    def _regression(self, key: Key[Array, ""], agent: Agent, rows: Replayed) -> ValueRegression:
        """What the critics are fitted to: the word of the targets on what the policy would do next (C4)."""
        critic = self._judge(agent.target_critics)
        successor = rows.reward, rows.next_obs, rows.terminated
        if self.deterministic:
            target = deterministic_target(critic, agent.target_policy, *successor, discount=rows.discount)
        else:
            target = expected_target(key, critic, agent.policy, *successor, discount=rows.discount)
        action = within_bounds(self.spec.action, rows.action) if isinstance(self.spec.action, Box) else rows.action
        return ValueRegression((rows.obs, action), target, jnp.ones(self.batch_size, jnp.float32))

    def _problem(self, key: Key[Array, ""], policy: Any, critic: Any, rows: Replayed) -> SampledProblem[Any]:
        """What the policy is moved by."""
        one = jnp.ones(self.batch_size, jnp.float32)
        return self.improvement.problem(key, policy, critic, Batch(rows.obs, rows.action, rows.log_prob, one, one))

    def _judge(self, critics: tuple[Any, ...]) -> AbstractActionValue:
        """Whoever says what an action is worth, as the environment takes it."""
        critic = critics[0] if len(critics) == 1 else LeastActionValue(critics)
        return WithinBounds(critic, self.spec.action) if isinstance(self.spec.action, Box) else critic

    def _beside(self, critic: Any, policy: Any) -> Any:
        return critic.beside(policy)

    def _warm(self, agent: Agent) -> Bool[Array, ""]:
        return agent.steps >= self.warm_up_steps


def _seen(agent: Agent, obs: AnyArray) -> AnyArray:
    return obs if agent.observations is None else agent.observations(obs)
