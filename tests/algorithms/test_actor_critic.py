"""The body that on-policy algorithms share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Corridor

from steepest.algorithms import PPO
from steepest.algorithms.actor_critic import _values, explained_variance
from steepest.core.spaces import Box, Discrete, Spec
from steepest.core.trajectory import Trajectory
from steepest.critics import StateValue
from steepest.training.compiled import begin, run

KEY = jax.random.key(0)


@pytest.mark.parametrize("cuts", [(), ((3, 1),), ((3, 1), (7, 2), (9, 0)), ((2, 1), (5, 1))], ids=str)
def test_successors_are_worth_the_same_whether_evaluated_once_or_twice(cuts):
    """Within an episode the next row stands for the successor; after a truncation, however many, it must not."""
    length, streams = 10, 3
    spec = Spec(Box(-1, 1, (2,)), Discrete(2), streams, 1)
    critic = StateValue.initial(KEY, spec)
    truncated = np.zeros((length, streams), bool)
    for cut in cuts:
        truncated[cut] = True
    terminated = np.asarray(jax.random.bernoulli(KEY, 0.2, (length, streams))) & ~truncated
    obs = jax.random.normal(KEY, (length + 1, streams, 2))
    other = jax.random.normal(jax.random.key(1), (length, streams, 2))
    ended = jnp.asarray(truncated | terminated)
    rows = jnp.zeros((length, streams))
    trajectory = Trajectory(
        obs=obs[:-1],
        action=rows.astype(jnp.int32),
        next_obs=jnp.where(ended[..., None], other, obs[1:]),
        reward=rows,
        log_prob=rows,
        terminated=jnp.asarray(terminated),
        truncated=jnp.asarray(truncated),
        valid=jnp.ones((length, streams), bool),
    )
    value, next_value = _values(critic, trajectory)
    np.testing.assert_allclose(value, critic(trajectory.obs), rtol=1e-5, atol=1e-6)
    counts = ~terminated
    np.testing.assert_allclose(next_value[counts], critic(trajectory.next_obs)[counts], rtol=1e-5, atol=1e-6)


def test_explained_variance_is_1_for_a_perfect_critic_and_0_for_a_constant():
    target, weight = jax.random.normal(KEY, (50,)), jnp.ones(50)
    np.testing.assert_allclose(explained_variance(target, target, weight), 1, atol=1e-6)
    np.testing.assert_allclose(explained_variance(target * 0 + 3, target, weight), 0, atol=1e-5)
    assert explained_variance(target, target * 0, weight) == 0


@pytest.mark.parametrize("vectorise", [False, True], ids=["in turns", "side by side"])
def test_seeds_do_not_see_each_other(vectorise):
    """In turns, not in a single bit; side by side, but for rounding."""
    env = Corridor()
    algorithm = PPO(num_envs=4, segment_length=16, epochs=2, minibatch_size=32, hidden=(8,)).compose(
        Spec(env.observation_space, env.action_space, 4, 3)
    )

    def trained(seeds):
        keys = jax.vmap(jax.random.key)(jnp.array(seeds))
        state = jax.jit(jax.vmap(lambda key: begin(algorithm, env, key)))(keys)
        state, _ = run(algorithm, env, state, 3, 10**6, vectorise=vectorise)
        return jax.tree.map(lambda leaf: np.asarray(leaf[-1]), state.agent)

    tolerance = 1e-4 if vectorise else 0.0
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance),
        trained([7]),
        trained([3, 5, 7]),
    )
