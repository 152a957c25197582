"""Training where the user has turned double precision on, or JAX's own search for NaN."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from served_environment import ServedEnvironment
from test_conformance import SMALL, composed, fitting
from worlds import Match

import steepest
from steepest.algorithms import A2C, DDPG, NPG
from steepest.envs.cart_pole import CartPole
from steepest.envs.pendulum import Pendulum
from steepest.training.compiled import CompiledTraining, begin, seed_keys, update_once
from steepest.training.driver import Told
from steepest.training.host import HostTraining

KEY = jax.random.key(0)
OPTIONS = ("normalise_observations", "scale_rewards", "anneal")
REPLAY = {"num_envs": 2, "hidden": (4,), "batch_size": 4, "capacity": 16, "warm_up_steps": 4}


class InDouble(Match):
    """An environment that computes in whatever precision is on."""

    def step(self, key, state, action):
        state, reward, terminated = super().step(key, state, action)
        return state, jnp.asarray(reward, jnp.result_type(float)), terminated


CASES = [(name, {}) for name in SMALL] + [
    ("reinforce", {"returns": "whole_return", "baseline": "optimal"}),
    ("off_policy_actor_critic", {"policy": "tabular", "return_steps": 3}),
    ("npg", {"solver": "dense", "fisher": "empirical"}),
]


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_every_algorithm_learns_in_single_precision_where_double_is_on(name, changes):
    """With all that it can normalise. Types are known without computing anything."""
    parameters = dataclasses.replace(
        SMALL[name], **{each: True for each in OPTIONS if hasattr(SMALL[name], each)}, **changes
    )
    env = InDouble() if fitting(name).id == "Match" else fitting(name)
    algorithm = composed(parameters, env)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        state = jax.eval_shape(lambda key: begin(algorithm, env, key), KEY)
        after, row = jax.eval_shape(lambda state: update_once(algorithm, env, state), state)
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves((after.agent, after.streams.places.obs, row))}
    assert not kinds & {"float64", "int64"}
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state
    )


def test_scaled_rewards_and_natural_gradients_train_where_double_is_on():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        result = steepest.train(
            NPG(num_envs=2, segment_length=8, minibatch_size=8, hidden=(), scale_rewards=True),
            InDouble(),
            total_steps=32,
            evaluation_episodes=0,
        )
    assert np.all(np.isfinite(result.metrics["kl"]))


def test_a_run_in_single_precision_is_evaluated_and_resumed_where_double_is_on(tmp_path):
    parameters = A2C(num_envs=2, segment_length=8, hidden=(), normalise_observations=True, scale_rewards=True)
    run = tmp_path / "run"
    steepest.train(parameters, "CartPole-v1", total_steps=32, evaluation_episodes=0, run_dir=run)
    single = steepest.evaluate(run, episodes=4)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        assert steepest.evaluate(run, episodes=4)["iqm"] == pytest.approx(single["iqm"])
        assert steepest.resume(run).finished


@pytest.mark.parametrize(
    ("parameters", "env"),
    [
        (A2C(num_envs=2, segment_length=2, hidden=()), CartPole()),
        (DDPG(**REPLAY), Pendulum()),
    ],
    ids=["a2c", "ddpg"],
)
def test_what_there_was_nothing_to_measure_of_is_no_mistake_where_jax_looks_for_nan(parameters, env):
    """No episode has ended, and nothing was learnt yet."""
    algorithm = composed(parameters, env)
    served = ServedEnvironment(env, num_envs=2, key=seed_keys(KEY)[1])
    total = 2 * parameters.steps_per_update
    for training in (
        lambda: CompiledTraining(algorithm, env, seeds=(0,), total_steps=total),
        lambda: HostTraining(algorithm, [served], seed=0, total_steps=total),
    ):
        with jax.debug_nans(True):
            row = training().advance(0.0)[0]
        assert math.isnan(row["return"])
        assert row["steps"] == parameters.steps_per_update


def test_metrics_leave_a_program_as_bits_and_come_out_as_they_were():
    metrics = {"return": jnp.array([jnp.nan, 1.5]), "steps": jnp.array([2**30 + 1, 7], jnp.int32)}
    with jax.debug_nans(True):
        found = jax.jit(lambda: Told.of(metrics))().numbers()
    np.testing.assert_array_equal(found["return"], [np.nan, 1.5])
    assert found["steps"].tolist() == [2**30 + 1, 7]
