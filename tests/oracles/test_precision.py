"""Exact answers are in double precision whatever JAX is set to, and leave the setting alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.core.spaces import Box, Discrete, Spec
from steepest.oracles import LinearQuadratic, double, in_float64, random_mdp
from steepest.policies import LinearGaussian, TabularPolicy, network_policy

POLICY = TabularPolicy(jnp.zeros((3, 2)))


@pytest.mark.parametrize("before", [False, True])
def test_the_users_precision_is_not_touched(before):
    mdp = random_mdp(0, 3, 2)
    with jax.enable_x64(before):
        assert mdp.performance(mdp.probabilities(POLICY)).dtype == np.float64
        assert mdp.policy_gradient(POLICY).logits.dtype == np.float64
        assert LinearQuadratic(0.9).performance(LinearGaussian(-0.5, 0.0)).dtype == np.float64
        assert jax.config.jax_enable_x64 == before
        assert jnp.ones(3).dtype == (jnp.float64 if before else jnp.float32)


def test_the_precision_is_not_touched_by_an_error_either():
    @in_float64()
    def fails(number):
        raise RuntimeError(str(number.dtype))

    with pytest.raises(RuntimeError, match="float64"):
        fails(np.float32(1))
    assert not jax.config.jax_enable_x64


def test_under_a_trace_the_precision_is_that_at_hand():
    mdp = random_mdp(0, 3, 2)
    known = mdp.policy_gradient(POLICY).logits
    traced = jax.jit(lambda policy: mdp.policy_gradient(policy).logits)(POLICY)
    assert traced.dtype == jnp.float32
    np.testing.assert_allclose(traced, known, rtol=1e-4, atol=1e-6)
    slope = jax.grad(lambda policy: mdp.performance(mdp.probabilities(policy)))(POLICY).logits
    np.testing.assert_allclose(slope, known, rtol=1e-4, atol=1e-6)


def test_known_values_stay_exact_while_something_else_is_traced():
    mdp, found = random_mdp(0, 3, 2), []

    @jax.jit
    def shifted(number):
        found.append(mdp.performance(mdp.probabilities(POLICY)))
        return number + 1

    shifted(1.0)
    assert found[0].dtype == np.float64
    assert found[0] == mdp.performance(mdp.probabilities(POLICY))


def test_a_network_computes_in_the_precision_of_its_weights():
    spec = Spec(Discrete(5), Discrete(3), num_envs=1, total_updates=1)
    single = network_policy(jax.random.key(0), spec, hidden=(8,))
    assert single(jnp.arange(5)).logits.dtype == jnp.float32
    continuous = Spec(Box(-1, 1, (2,)), Box(-3, 3, (2,)), num_envs=1, total_updates=1)
    gaussian = network_policy(jax.random.key(0), continuous, hidden=(8,))
    rows = np.random.default_rng(0).normal(size=(4, 2))
    assert gaussian(rows).mean.dtype == jnp.float32
    with jax.enable_x64(True):
        precise = jax.tree.map(jnp.asarray, double((single, gaussian)))
        assert precise[0](jnp.arange(5)).logits.dtype == jnp.float64
        found = precise[1](rows)
        assert (found.mean.dtype, found.log_std.dtype) == (jnp.float64, jnp.float64)
        weights, biases = (list(map(np.float64, each)) for each in (gaussian.network.weights, gaussian.network.biases))
        expected = 3 * (np.tanh(rows @ weights[0] + biases[0]) @ weights[1] + biases[1])
        np.testing.assert_allclose(found.mean, expected, rtol=1e-12)
        np.testing.assert_allclose(found.log_std, np.log(3) + np.zeros((4, 2)), rtol=1e-15)


def test_only_real_numbers_change_their_type():
    tree = {"real": jnp.ones(2), "whole": jnp.arange(2), "number": 1.5, "name": "x", "none": None, "count": 3}
    found = double(tree)
    assert found["real"].dtype == np.float64
    assert found["number"].dtype == np.float64
    assert found["whole"].dtype == np.int32
    assert (found["name"], found["none"], found["count"]) == ("x", None, 3)
