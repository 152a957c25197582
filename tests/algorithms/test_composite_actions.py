"""Actions that are trees of choices (G21), against sums over all that can be chosen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from worlds import PANEL, Panel

import steepest
from steepest.advantages import MonteCarlo
from steepest.core.spaces import Spec
from steepest.estimators import LikelihoodRatio
from steepest.policies import network_policy
from steepest.sampling.compiled import sample, start
from steepest.training.compiled import train

ENV = Panel()
KEY = jax.random.key(0)


def chances(policy):
    """The probability of every action for either light, from the numbers behind its parts, [2, 3, 2, 2, 2]."""
    parts = policy(jnp.arange(2)).parts
    switches, lever = parts["rest"].parts
    gear, lever = jax.nn.softmax(parts["gear"].logits), jax.nn.softmax(lever.logits[0])
    on = jax.nn.sigmoid(switches.logits)
    each = jnp.stack([1 - on, on], axis=-1)  # [2, 2 switches, off or on]
    return jnp.einsum("sg,sa,sb,sl->sgabl", gear, each[:, 0], each[:, 1], lever)


def performance(policy):
    return 0.5 * jnp.sum(chances(policy) * jnp.asarray(PANEL, jnp.float32))


def flat_policy(scale=1.5):
    spec = Spec(ENV.observation_space, ENV.action_space, num_envs=1, total_updates=1)
    return network_policy(KEY, spec, hidden=(), output_scale=scale)


def test_the_gradient_is_that_of_the_product():
    policy = flat_policy()
    estimator = LikelihoodRatio(1.0, MonteCarlo(1.0))
    found = steepest.estimate_gradient(policy, ENV, estimator, jax.random.key(1), episodes=2000, repeats=60)
    exact = np.asarray(ravel_pytree(jax.grad(performance)(policy))[0])
    error = found.matrix.std(axis=0, ddof=1) / np.sqrt(60)
    np.testing.assert_array_less(np.abs(found.matrix.mean(axis=0) - exact), 4 * error + 1e-7)
    assert (0.1 * np.abs(exact) > 6 * error).any()


def test_actions_are_drawn_as_often_as_the_product_says():
    policy, draws = flat_policy(), 20_000
    action = policy(jnp.zeros(draws, jnp.int32)).sample(jax.random.key(2))
    switches, lever = action["rest"]
    counts = np.zeros(PANEL.shape[1:])
    np.add.at(counts, tuple(np.asarray(each) for each in (action["gear"], *switches.T, *lever.T)), 1)
    p = np.asarray(chances(policy)[0], np.float64)
    np.testing.assert_array_less(np.abs(counts / draws - p), 4.5 * np.sqrt(p * (1 - p) / draws))


SEGMENTS = {"num_envs": 16, "segment_length": 16, "hidden": ()}
IMPROVED = {
    "ppo": steepest.PPO(**SEGMENTS, epochs=4, minibatch_size=64, learning_rate=0.1),
    "trpo": steepest.TRPO(**SEGMENTS, kl_radius=0.1),
    "npg": steepest.NPG(**SEGMENTS, kl_radius=0.1),
}


@pytest.mark.parametrize("name", IMPROVED)
def test_trees_of_actions_are_learnt(name):
    """Most of what can be won is won; an exact KL is what a step was allowed to make of it."""
    algorithm = IMPROVED[name].for_env(ENV, updates=30)
    learnt, _ = jax.jit(lambda key: train(algorithm, ENV, key, updates=30))(KEY)
    best, first = PANEL.reshape(2, -1).max(axis=1).mean(), float(performance(algorithm.init(KEY).policy))
    assert float(performance(learnt.agent.policy)) > first + 0.8 * (best - first)


def test_a_trust_region_holds_for_the_product():
    algorithm = IMPROVED["trpo"].for_env(ENV, updates=30)
    agent = algorithm.init(KEY)
    _, rows, _ = sample(algorithm, agent, ENV, start(algorithm, ENV, KEY), KEY)
    after, info = jax.jit(lambda agent: algorithm.update(KEY, agent, rows))(agent)
    p, q = chances(agent.policy), chances(after.policy)
    share = jnp.mean(rows.obs == 1)
    by_light = jnp.sum(p * jnp.log(p / q), axis=(1, 2, 3, 4))
    kl = float((1 - share) * by_light[0] + share * by_light[1])
    np.testing.assert_allclose(info.metrics["kl"], kl, rtol=1e-3)
    assert 0.05 < kl <= 0.1 * (1 + 1e-3)
