"""The body of the algorithms that perturb parameters: move them, see what returns come of it, take a step."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from steepest.algorithms.architecture import Architecture
from steepest.core.interfaces import AbstractAlgorithm, AbstractStepRule, RolloutSpec
from steepest.core.moments import Moments, ObservationNormaliser
from steepest.core.problem import GivenGradient
from steepest.core.results import Finite, UpdateInfo
from steepest.core.spaces import Box, Spec
from steepest.core.trajectory import Trajectory, flatten
from steepest.core.types import AnyArray, PyTree
from steepest.perturbation import AbstractPerturbation


class Agent(eqx.Module):
    """All that learning changes.

    - `policy`: the parameters themselves, between the perturbed ones.
    - `offsets`: of the perturbed policies that play the next update; None where nothing is to be found out any more.
    - `step_state`: of the step rule.
    - `observations`: running normalisation, where it was asked for.
    """

    policy: Any
    offsets: Float[Array, "M P"] | None
    step_state: PyTree
    observations: ObservationNormaliser | None


class PerturbationAscent(AbstractAlgorithm):
    """Stream i plays the i-th perturbed policy, counted around; their mean returns make a gradient.

    - `perturbation`: where to evaluate J, and what that says of the gradient.
    - `policy_rule`: what moves the policy, on the linear problem of that gradient.
    - `noisy_actions`: draw actions from the perturbed policies, in place of their best guesses.
    """

    spec: Spec = eqx.field(static=True)
    architecture: Architecture = eqx.field(static=True)
    perturbation: AbstractPerturbation
    policy_rule: AbstractStepRule
    discount: float | Float[Array, ""]
    noisy_actions: bool = eqx.field(static=True)
    normalise_observations: bool = eqx.field(static=True)
    rollout: RolloutSpec = eqx.field(static=True, default=RolloutSpec(length=None, whole_episodes=True, together=True))

    def init(self, key: Key[Array, ""]) -> Agent:
        for_policy, for_offsets = jax.random.split(key)
        policy = self.architecture.draw_policy(for_policy, self.spec)
        normalises = self.normalise_observations and isinstance(self.spec.observation, Box)
        return Agent(
            policy=policy,
            offsets=self._offsets(for_offsets, policy),
            step_state=self.policy_rule.init(policy),
            observations=ObservationNormaliser(Moments.initial(self.spec.observation.shape)) if normalises else None,
        )

    def act(self, key: Key[Array, ""], agent: Agent, obs: AnyArray) -> tuple[Array, Array]:
        seen = _seen(agent, obs)
        if agent.offsets is None:
            return agent.policy(seen).sample_and_log_prob(key)
        vector, unravel = ravel_pytree(agent.policy)
        count = agent.offsets.shape[0]
        rows = seen.reshape(-1, count, *seen.shape[1:])
        keys = jax.random.split(key, count)

        def one(key, offset, obs) -> tuple[Array, Array]:
            distribution = unravel(vector + offset)(obs)
            if self.noisy_actions:
                return distribution.sample_and_log_prob(key)
            action = distribution.mode()
            return action, distribution.log_prob(action)

        acted = jax.vmap(one, in_axes=(0, 0, 1), out_axes=1)(keys, agent.offsets, jnp.asarray(rows))
        return jax.tree.map(lambda leaf: leaf.reshape(obs.shape[0], *leaf.shape[2:]), acted)

    def for_evaluation(self, agent: Agent) -> Agent:
        return eqx.tree_at(lambda each: each.offsets, agent, None)

    def act_deterministic(self, agent: Agent, obs: AnyArray) -> Array:
        return agent.policy(_seen(agent, obs)).mode()

    def update(self, key: Key[Array, ""], agent: Agent, trajectory: Trajectory) -> tuple[Agent, UpdateInfo]:
        for_step, for_offsets = jax.random.split(key)
        trajectory = jax.tree.map(jnp.asarray, trajectory)
        assert agent.offsets is not None  # a for_evaluation agent does not learn
        vector, unravel = ravel_pytree(agent.policy)
        returns = self._returns(trajectory)
        performance = jnp.mean(returns.reshape(-1, agent.offsets.shape[0]), axis=0)
        gradient = self.perturbation.gradient(agent.offsets, performance)
        problem = GivenGradient(unravel(gradient), {"objective": jnp.mean(performance)})
        policy, state, info = self.policy_rule.step(for_step, agent.policy, problem, agent.step_state)
        finite = Finite.of(
            observation=(trajectory.obs, trajectory.next_obs),
            action=trajectory.action,
            log_prob=trajectory.log_prob,
            reward=trajectory.reward,
            gradient=gradient,
            policy=policy,
        )
        observations = agent.observations
        if observations is not None:
            weight = flatten(trajectory.valid).astype(jnp.float32)
            observations = observations.merge(observations.measure(trajectory.obs, weight))
        metrics = info | {
            "perturbed_deviation": jnp.std(performance),
            "step_length": jnp.sqrt(jnp.sum(jnp.square(ravel_pytree(policy)[0] - vector))),
        }
        after = Agent(policy, self._offsets(for_offsets, policy), state, observations)
        return after, UpdateInfo(metrics, finite)

    def _offsets(self, key: Key[Array, ""], policy: Any) -> Float[Array, "M P"]:
        vector = ravel_pytree(policy)[0]
        return self.perturbation.offsets(key, vector.shape[0]).astype(vector.dtype)

    def _returns(self, trajectory: Trajectory) -> Float[Array, " N"]:
        """$\\sum_t \\gamma^t r_t$ of each stream's episode."""
        steps = jnp.arange(trajectory.reward.shape[0], dtype=jnp.float32)
        factor = jnp.asarray(self.discount, jnp.float32) ** steps
        return factor @ jnp.where(trajectory.valid, trajectory.reward, 0)


def _seen(agent: Agent, obs: AnyArray) -> AnyArray:
    return obs if agent.observations is None else agent.observations(obs)
