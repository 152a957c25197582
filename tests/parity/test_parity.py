"""One environment, driven by both ways of training with the same keys: the same parameters come out."""

import dataclasses

import jax
import numpy as np
import pytest
from served_environment import ServedEnvironment
from worlds import Corridor

from steepest.algorithms import A2C, DDPG, PPO, TRPO, OffPolicyActorCritic, RegressionAscent, Reinforce
from steepest.core.spaces import Spec
from steepest.envs.cart_pole import CartPole
from steepest.envs.pendulum import Pendulum
from steepest.training.compiled import CompiledTraining, seed_keys
from steepest.training.host import HostTraining

REPLAY = {"num_envs": 4, "hidden": (8,), "batch_size": 16, "capacity": 64, "warm_up_steps": 8}
ALGORITHMS = {
    "ppo": PPO(num_envs=4, segment_length=32, epochs=2, minibatch_size=32, hidden=(8,), normalise_observations=True),
    "trpo": TRPO(num_envs=4, segment_length=16, critic_epochs=2, minibatch_size=32),
    "a2c": A2C(num_envs=4, segment_length=16, hidden=(8,), scale_rewards=True),
    "reinforce": Reinforce(num_envs=4, hidden=(8,)),
    "ppo with memory": PPO(
        num_envs=4, segment_length=32, epochs=2, minibatch_size=32, memory="gru", memory_size=4, sequence_length=16
    ),
    "regression_ascent": RegressionAscent(perturbations=3),
    "off_policy_actor_critic": OffPolicyActorCritic(**REPLAY, segment_length=8, replay_ratio=1 / 16, return_steps=3),
    "ddpg": DDPG(**REPLAY, replay_ratio=0.25, exploration="ornstein_uhlenbeck", normalise_observations=True),
}


EVERYWHERE, ELSEWHERE = "ppo", Corridor()
"""The algorithm that meets all environments; the others meet one with discrete and one with continuous actions."""


@pytest.mark.parametrize(
    ("name", "env"),
    [
        pytest.param(name, env, id=f"{name} on {env.id}")
        for name in ALGORITHMS
        for env in (CartPole(), Pendulum(), ELSEWHERE)
        if (name == EVERYWHERE or env is not ELSEWHERE)
        and (name != "ddpg" or env.id == Pendulum().id)
        and (name != "ppo with memory" or env.id == CartPole().id)
    ],
)
def test_both_ways_of_training_end_with_the_same_parameters(name, env):
    parameters = dataclasses.replace(ALGORITHMS[name], hidden=(8,))
    algorithm = parameters.build(Spec(env.observation_space, env.action_space, 4, 10))
    total = 3 * (parameters.steps_per_update or 4)
    compiled = CompiledTraining(algorithm, env, seeds=(5,), total_steps=total)
    served = ServedEnvironment(env, num_envs=4, key=seed_keys(jax.random.key(5))[1])
    host = HostTraining(algorithm, [served], seed=5, total_steps=total, overlap=False)
    rows = {"compiled": [], "host": []}
    for kind, training in (("compiled", compiled), ("host", host)):
        while not training.finished:
            rows[kind] += training.advance(0.0)
    assert len(rows["compiled"]) == len(rows["host"]) >= 1
    for one, other in zip(rows["compiled"], rows["host"], strict=True):
        assert set(one) == set(other)
        for column in {"steps", "episodes", "return", "length", "kl", "entropy", "objective"} & set(one):
            np.testing.assert_allclose(one[column], other[column], rtol=1e-3, atol=1e-4, err_msg=column)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), compiled.agents()[5], host.agents()[5]
    )
