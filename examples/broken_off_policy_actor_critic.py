"""Off-policy actor–critic as it is often first written down, with two mistakes, beside the right one.

    python examples/broken_off_policy_actor_critic.py

It keeps a ring of transitions, like the right one. But it fits V(s) to the rewards in the ring: they were earned by the
actions of older policies, so V is theirs. And it takes the score of the actions in the ring, which are not those of the
policy that is being improved. Nothing crashes, and no number looks odd.
"""

import dataclasses

import jax
import jax.numpy as jnp

from steepest.algorithms import OffPolicyActorCritic
from steepest.algorithms.bodies.agent import Agent
from steepest.algorithms.bodies.replay_actor_critic import ReplayActorCritic
from steepest.core.problem import SampledProblem
from steepest.core.spaces import Spec
from steepest.core.trajectory import Batch
from steepest.critics import AbstractActionValue, ValueRegression
from steepest.envs.cart_pole import CartPole
from steepest.objectives import Entropy, Score
from steepest.policies import AbstractPolicy
from steepest.replay import Transitions
from steepest.training.compiled import train


class BrokenOffPolicyActorCritic(ReplayActorCritic):
    """V from replayed rewards, and the score of replayed actions."""

    def _regression(self, key: jax.Array, agent: Agent, rows: Transitions) -> ValueRegression:
        # Mistake 1: r came of the action in the ring, so this is the value of the policy that acted then.
        follows = jnp.where(rows.terminated, 0, value(agent.experience.target_critics[0], rows.next_obs))
        target = rows.reward + rows.discount * follows
        return ValueRegression((rows.obs, jnp.zeros_like(rows.action)), target, jnp.ones(self.batch_size))

    def _problem(
        self, key: jax.Array, policy: AbstractPolicy, critic: AbstractActionValue, rows: Transitions
    ) -> SampledProblem:
        follows = jnp.where(rows.terminated, 0, value(critic, rows.next_obs))
        advantage = rows.reward + rows.discount * follows - value(critic, rows.obs)
        # Mistake 2: the score of an action that the policy would perhaps not take.
        batch = Batch(rows.obs, rows.action, rows.log_prob, advantage, jnp.ones(self.batch_size))
        return (Score() + self.improvement.entropy_bonus * Entropy()).problem(batch, policy)


def value(critic: AbstractActionValue, obs: jax.Array) -> jax.Array:
    """V(s): a critic of actions that is only ever fitted and asked at the first of them."""
    return critic.values(obs)[..., 0]


def both(parameters: OffPolicyActorCritic, spec: Spec) -> dict[str, ReplayActorCritic]:
    """The right one and the broken one, with the same numbers."""
    right = dataclasses.replace(parameters, critics=1).build(spec)
    parts = {field.name: getattr(right, field.name) for field in dataclasses.fields(right)}
    return {"right": right, "broken": BrokenOffPolicyActorCritic(**parts)}


def main() -> None:
    """Train both on CartPole, and show what their episodes return."""
    env, updates = CartPole(), 1500
    parameters = OffPolicyActorCritic(
        num_envs=4, segment_length=4, replay_ratio=0.5, hidden=(64, 64), target_rate=0.01, batch_size=64
    )
    spec = Spec(env.observation_space, env.action_space, parameters.num_envs, updates)
    for name, algorithm in both(parameters, spec).items():
        _, metrics = jax.jit(lambda key, algorithm=algorithm: train(algorithm, env, key, updates=updates))(
            jax.random.key(0)
        )
        late = metrics["return"][-updates // 5 :]
        print(f"{name:7} mean return of the last fifth of the episodes: {jnp.nanmean(late):.0f}")


if __name__ == "__main__":
    main()
