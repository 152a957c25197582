"""A network of your own: any Equinox module from observations to a distribution, and any to a value.

    python examples/own_network.py

PPO on CartPole with a policy that sees the observation beside its squares, and a critic that is linear in the same
features. `networks=` takes a function `(key, spec) -> Networks`.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

import steepest
from steepest.core.distributions import AbstractDistribution
from steepest.critics import AbstractStateValue
from steepest.envs.cart_pole import CartPole
from steepest.networks import AbstractHead, Dense, feature_count, make_head
from steepest.policies import AbstractPolicy


def with_squares(obs: Float[Array, "*batch n"]) -> Float[Array, "*batch 2n"]:
    """An encoder without parameters."""
    return jnp.concatenate([obs, jnp.square(obs)], axis=-1)


class QuadraticPolicy(AbstractPolicy):
    """A softmax of a network of the observation and its squares."""

    network: Dense
    head: AbstractHead

    def __call__(self, obs: Float[Array, "*batch n"]) -> AbstractDistribution:
        return self.head(self.network(with_squares(obs)))


class QuadraticValue(AbstractStateValue):
    """A value that is linear in the observation and its squares."""

    network: Dense

    def __call__(self, obs: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
        return self.network(with_squares(obs))[..., 0]


def networks(key: Key[Array, ""], spec: steepest.Spec) -> steepest.Networks:
    """Fresh networks for the spaces of `spec`."""
    for_policy, for_critic = jax.random.split(key)
    head = make_head(spec.action)
    inputs = 2 * feature_count(spec.observation)
    policy = Dense.initial(for_policy, (inputs, 32, head.inputs), activation="tanh", output_scale=0.01)
    critic = Dense.initial(for_critic, (inputs, 1), activation="tanh", output_scale=1.0)
    return steepest.Networks(QuadraticPolicy(policy, head), QuadraticValue(critic))


def main(total_steps: int = 60_000) -> None:
    """Train, and say what the policy returns."""
    env = CartPole()
    ppo = steepest.PPO(num_envs=8, segment_length=64, minibatch_size=128, learning_rate=1e-3)
    own = dataclasses.replace(ppo.for_env(env, updates=1), networks=networks)
    result = steepest.train(own, env, total_steps=total_steps, evaluation_episodes=20)
    assert result.evaluation is not None
    print(f"mean return of 20 episodes: {result.evaluation['iqm']:.0f}")


if __name__ == "__main__":
    main()
