"""The body of the algorithms that perturb parameters: move them, see what returns come of it, take a step."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, Key

from steepest.algorithms.architecture import MakeNetworks
from steepest.algorithms.bodies.agent import Agent, best_guess, finite_samples, fresh_normaliser, with_observations
from steepest.core.distributions import AbstractDistribution
from steepest.core.finiteness import Finite, UpdateInfo
from steepest.core.given_gradient import GivenGradient
from steepest.core.interfaces import AbstractAlgorithm, AbstractStepRule, RolloutSpec
from steepest.core.moments import NoRewardScaler
from steepest.core.schedules import at_progress
from steepest.core.spaces import Spec
from steepest.core.trajectory import Trajectory
from steepest.core.types import PyTree
from steepest.perturbation import AbstractPerturbation
from steepest.policies import AbstractPolicy


class PerturbationAscent(AbstractAlgorithm):
    """Play an episode with each of many perturbed policies; their mean returns make a gradient.

    The agent's experience is the offsets of the perturbed policies that play next. The carry of a stream is its
    number, i; it plays policy i modulo their count.

    - `networks`: draws the policy.
    - `perturbation`: where to evaluate J, and the gradient that follows from the values there.
    - `policy_rule`: the step rule of the policy, on the linear problem of that gradient.
    - `noisy_actions`: draw actions from the perturbed policies, in place of their modes.
    """

    spec: Spec = eqx.field(static=True)
    networks: MakeNetworks = eqx.field(static=True)
    perturbation: AbstractPerturbation
    policy_rule: AbstractStepRule
    discount: float | Float[Array, ""]
    noisy_actions: bool = eqx.field(static=True)
    normalise_observations: bool = eqx.field(static=True)
    rollout: RolloutSpec = eqx.field(static=True, default=RolloutSpec(length=None, whole_episodes=True))

    def init(self, key: Key[Array, ""]) -> Agent:
        for_policy, for_offsets = jax.random.split(key)
        policy = self.networks(for_policy, self.spec).policy
        return Agent(
            policy=policy,
            critic=None,
            policy_state=self.policy_rule.init(policy),
            critic_state=None,
            observations=fresh_normaliser(self.spec, self.normalise_observations),
            rewards=NoRewardScaler(),
            experience=self._offsets(for_offsets, policy),
            updates=jnp.zeros((), jnp.int32),
        )

    def initial_carry(self, spec: Spec) -> Int[Array, " N"]:
        return jnp.arange(spec.num_envs, dtype=jnp.int32)

    def act(
        self, key: Key[Array, ""], agent: Agent, carry: PyTree, obs: PyTree
    ) -> tuple[PyTree, Float[Array, " N"], PyTree]:
        seen = agent.observations(jax.tree.map(jnp.asarray, obs))
        if agent.experience is None:
            return *agent.policy(seen).sample_and_log_prob(key), carry
        vector, unravel = ravel_pytree(agent.policy)
        count = agent.experience.shape[0]

        # Rows of any group of streams, each in its place of [copies, policies]. So every policy is made once, outside
        # the sampler's loop; to gather the parameters of every stream at every step is several times slower.
        def placed(seen: Array) -> Array:
            rows = jnp.zeros((self.spec.num_envs, *seen.shape[1:]), seen.dtype).at[carry].set(seen, unique_indices=True)
            return rows.reshape(-1, count, *seen.shape[1:])

        def one(key: Key[Array, ""], offset: Float[Array, " P"], obs: PyTree) -> tuple[PyTree, Array]:
            distribution = unravel(vector + offset)(obs)
            if self.noisy_actions:
                return distribution.sample_and_log_prob(key)
            action = distribution.mode()
            return action, distribution.log_prob(action)

        acted = jax.vmap(one, in_axes=(0, 0, 1), out_axes=1)(
            jax.random.split(key, count), agent.experience, jax.tree.map(placed, seen)
        )
        action, log_prob = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[carry], acted)
        return action, log_prob, carry

    def act_deterministic(self, agent: Agent, carry: PyTree, obs: PyTree) -> tuple[PyTree, PyTree]:
        return best_guess(agent.policy(agent.observations(obs))), carry

    def distribution(self, agent: Agent, obs: PyTree) -> AbstractDistribution:
        return agent.policy(agent.observations(obs))

    def for_evaluation(self, agent: Agent) -> Agent:
        return dataclasses.replace(agent, experience=None)

    def update(self, key: Key[Array, ""], agent: Agent, trajectory: Trajectory) -> tuple[Agent, UpdateInfo]:
        for_step, for_offsets = jax.random.split(key)
        trajectory = jax.tree.map(jnp.asarray, trajectory)
        performance = jnp.mean(self._returns(trajectory).reshape(-1, agent.experience.shape[0]), axis=0)
        gradient = self.perturbation.gradient(agent.experience, performance)
        vector, unravel = ravel_pytree(agent.policy)
        problem = GivenGradient(unravel(gradient), {"objective": jnp.mean(performance)})
        policy_rule = at_progress(self.policy_rule, agent.progress(self.spec))
        policy, state, info = policy_rule.step(for_step, agent.policy, problem, agent.policy_state)
        metrics = info | {
            "perturbed_deviation": jnp.std(performance),
            "step_length": jnp.sqrt(jnp.sum(jnp.square(ravel_pytree(policy)[0] - vector))),
        }
        agent = dataclasses.replace(
            agent,
            policy=policy,
            policy_state=state,
            observations=with_observations(agent.observations, trajectory),
            experience=self._offsets(for_offsets, policy),
            updates=agent.updates + 1,
        )
        finite = finite_samples(trajectory, self.spec.observation).then(Finite.of(gradient=gradient, policy=policy))
        return agent, UpdateInfo(metrics, finite)

    def _offsets(self, key: Key[Array, ""], policy: AbstractPolicy) -> Float[Array, "M P"]:
        vector = ravel_pytree(policy)[0]
        return self.perturbation.offsets(key, vector.shape[0]).astype(vector.dtype)

    def _returns(self, trajectory: Trajectory) -> Float[Array, " N"]:
        """$\\sum_t \\gamma^t r_t$ of each stream's episode."""
        steps = jnp.arange(trajectory.reward.shape[0], dtype=jnp.float32)
        factor = jnp.asarray(self.discount, jnp.float32) ** steps
        return factor @ jnp.where(trajectory.valid, trajectory.reward, 0)
