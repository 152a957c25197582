"""Where a user has turned float64 on, training goes on in float32, and compiles."""

import jax
import numpy as np
import pytest

import steepest

TINY = {"hidden": (), "num_envs": 2}
CASES = {
    "pg_baseline": ("CartPole-v1", TINY),
    "reinforce": ("CartPole-v1", TINY | {"returns": "whole_return", "baseline": "optimal"}),
    "finite_difference_ascent": ("CartPole-v1", {}),
    "regression_ascent": ("CartPole-v1", {}),
    "dpg": ("Pendulum-v1", TINY | {"hidden": (4,), "segment_length": 2, "warm_up_steps": 4, "batch_size": 4}),
    "off_policy_actor_critic": ("CartPole-v1", TINY | {"segment_length": 2, "warm_up_steps": 4, "batch_size": 4}),
}


@pytest.mark.parametrize("name", CASES)
def test_training_stays_in_single_precision_where_double_is_on(name):
    env, parameters = CASES[name]
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        result = steepest.train(name, env, total_steps=16, preset=False, evaluation_episodes=0, **parameters)
        kinds = {leaf.dtype for leaf in jax.tree.leaves(result.agents) if hasattr(leaf, "dtype")}
    assert np.dtype(np.float64) not in kinds
