"""What must be remembered is learnt with a memory, and cannot be without: a bit that was shown once, at the start."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.algorithms import A2C, PPO, TRPO, Reinforce
from steepest.core.spaces import Box, Discrete
from steepest.envs.environment import AbstractEnvironment
from steepest.training.compiled import train

SEGMENT = {"num_envs": 16, "segment_length": 16, "minibatch_size": 64, "hidden": ()}
RATE = {"learning_rate": 5e-3, "anneal": True}  # it ends above 0.98 with each of six seeds


class Recall(AbstractEnvironment):
    """Shows a bit, then nothing; the action at the fourth step, which is the last, earns 1 if it is the bit."""

    id = "Recall"
    max_episode_steps = 4

    @property
    def observation_space(self):
        return Box(-1.0, 1.0, (1,))

    @property
    def action_space(self):
        return Discrete(2)

    def initial(self, key):
        return jax.random.bernoulli(key).astype(jnp.int32), jnp.zeros((), jnp.int32)

    def observe(self, state):
        bit, time = state
        return jnp.where(time == 0, jnp.where(bit == 1, 1.0, -1.0), 0.0)[None]

    def step(self, key, state, action):
        bit, time = state
        last = time == 3
        return (bit, time + 1), jnp.where(last & (action == bit), 1.0, 0.0), last & (bit == 0)


@pytest.mark.parametrize(
    ("parameters", "updates"),
    [
        (PPO(**SEGMENT, **RATE, epochs=4, sequence_length=8, recompute_memory=True, memory="gru"), 60),
        (TRPO(**SEGMENT, kl_radius=0.05, critic_epochs=2, memory="lstm"), 90),
        (A2C(num_envs=16, hidden=(), learning_rate=1e-2, entropy_bonus=0.0, shared_network=True, memory="gru"), 400),
        (Reinforce(num_envs=32, hidden=(), learning_rate=1e-2, memory="gru"), 150),
    ],
    ids=["ppo", "trpo", "a2c", "reinforce"],
)
def test_a_bit_is_remembered(parameters, updates):
    parameters = dataclasses.replace(parameters, memory_size=8, discount=1.0)
    algorithm = parameters.for_env(Recall(), updates=updates)
    _, metrics = jax.jit(lambda key: train(algorithm, Recall(), key, updates=updates))(jax.random.key(1))
    assert np.nanmean(metrics["return"][:5]) < 0.7
    assert np.nanmean(metrics["return"][-5:]) > 0.95


def test_without_memory_it_is_guessed():
    ppo = PPO(**SEGMENT | {"hidden": (8,)}, epochs=4, learning_rate=1e-2).for_env(Recall(), updates=60)
    _, metrics = jax.jit(lambda key: train(ppo, Recall(), key, updates=60))(jax.random.key(1))
    assert np.nanmean(metrics["return"][-20:]) == pytest.approx(0.5, abs=0.05)
