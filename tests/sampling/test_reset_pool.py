"""Starts of episodes from a pool: the right distribution, drawn only so often, and no difference where it is off."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steepest.core.errors import InputError
from steepest.core.interfaces import AbstractActor, RolloutSpec
from steepest.core.spaces import Box, Discrete, Spec
from steepest.envs.environment import AbstractEnvironment
from steepest.sampling.compiled import advance, begin, env_key, fresh_starts, sample, select, start

KEY = jax.random.key(9)
CHANCE = np.array([0.5, 0.3, 0.15, 0.05])


class Level(AbstractEnvironment):
    """Episodes of two steps in one of four levels, the number of which is drawn, and observed."""

    id = "Level"
    max_episode_steps = 2
    reset_pool: int = eqx.field(static=True, default=0)

    @property
    def observation_space(self):
        return Discrete(4)

    @property
    def action_space(self):
        return Box(-1.0, 1.0, (1,))

    def initial(self, key):
        return jax.random.choice(key, 4, p=jnp.asarray(CHANCE, jnp.float32)).astype(jnp.int32)

    def observe(self, state):
        return state

    def step(self, key, state, action):
        return state, jnp.zeros(()), jnp.zeros((), bool)


class Noise(Level):
    """Starts are numbers that never come twice."""

    @property
    def observation_space(self):
        return Box(-1.0, 1.0, (1,))

    def initial(self, key):
        return jax.random.uniform(key, (1,), jnp.float32)


class Still(AbstractActor):
    spec: Spec = eqx.field(static=True)
    rollout: RolloutSpec = eqx.field(static=True)

    def act(self, key, agent, carry, obs):
        return jnp.zeros((obs.shape[0], 1)), jnp.zeros(obs.shape[0]), carry


def segments(env, count, num_envs=6, length=8):
    """The first observation of every episode but the first of each stream, [segments, episodes, streams]."""
    actor = Still(Spec(env.observation_space, env.action_space, num_envs, 1), RolloutSpec(length))

    def once(streams, key):
        streams, trajectory, _ = sample(actor, (), env, streams, key)
        return streams, trajectory.obs

    obs = jax.jit(lambda: jax.lax.scan(once, start(actor, env, KEY), jax.random.split(KEY, count))[1])()
    return np.asarray(obs)[:, 2::2]


@pytest.mark.parametrize("pool", [0, 3, 50])
def test_the_distribution_of_starts_is_that_of_the_environment(pool):
    starts = segments(Level(reset_pool=pool), 2000)
    found = np.bincount(starts.ravel(), minlength=4) / starts.size
    # The 18 starts of a segment share its pool: two of them are the same one with probability 1 / pool.
    tolerance = 4 * np.sqrt(CHANCE * (1 - CHANCE) / 2000 * (1 / 18 + (1 / pool if pool else 0)))
    assert np.all(np.abs(found - CHANCE) < tolerance)


def test_a_segment_takes_its_starts_from_one_pool_and_the_next_from_another():
    starts = segments(Noise(reset_pool=4), 40)[..., 0]
    kinds = [set(each.ravel().tolist()) for each in starts]
    assert max(map(len, kinds)) == 4
    assert not kinds[0] & kinds[1]


def test_streams_and_steps_choose_independently_and_uniformly():
    starts = segments(Noise(reset_pool=4), 3000)[..., 0]
    same_stream = np.mean(starts[:, 0] == starts[:, 1])
    same_step = np.mean(starts[:, :, 0] == starts[:, :, 1])
    np.testing.assert_allclose([same_stream, same_step], 1 / 4, atol=0.02)


def draws(env, num_envs=6, length=8):
    """How many starts one trajectory draws: the size of every batch of uniform numbers that are starts."""
    actor = Still(Spec(env.observation_space, env.action_space, num_envs, 1), RolloutSpec(length))
    counted = []

    class Counted(type(env)):
        def initial(self, key):
            def note(_):
                counted.append(None)
                return np.float32(0)

            return super().initial(key) + 0 * jax.pure_callback(
                note, jax.ShapeDtypeStruct((), jnp.float32), key, vmap_method="sequential"
            )

    streams = start(actor, env, KEY)
    counter = Counted(reset_pool=env.reset_pool)
    jax.block_until_ready(jax.jit(functools.partial(sample, actor, (), counter))(streams, KEY))
    return len(counted)


def test_a_start_is_computed_only_as_often_as_the_pool_is_large():
    assert draws(Noise(reset_pool=5)) == 5
    assert draws(Noise()) == 6 * 8


def test_without_a_pool_every_step_draws_starts_of_its_own():
    """Against a loop that is written out, bit for bit."""
    env, (num_envs, length) = Noise(), (6, 7)
    actor = Still(Spec(env.observation_space, env.action_space, num_envs, 1), RolloutSpec(length))
    streams = start(actor, env, KEY)
    places, expected = streams.places, []
    for time in range(length):
        key = env_key(KEY, 1, 1 + time)
        expected.append(places.obs)
        after, outcome = advance(env, key, places, jnp.zeros((num_envs, 1)))
        places = select(outcome.terminated | outcome.truncated, begin(env, key, num_envs), after)
    np.testing.assert_array_equal(sample(actor, (), env, streams, KEY)[1].obs, jnp.stack(expected))


def test_a_pool_of_less_than_nothing_is_refused():
    with pytest.raises(InputError, match="reset_pool is -1; it must be a whole number and at least 0"):
        segments(Noise(reset_pool=-1), 1)


def test_the_pool_is_independent_of_the_steps_of_the_environments():
    """No start is drawn with the key that a stream steps with, nor with one that is split from it."""
    env, num_envs = Noise(reset_pool=4), 6
    keys = jax.vmap(env_key, (None, None, 0))(KEY, 1, jnp.arange(3, dtype=jnp.int32))
    pool = set(np.asarray(fresh_starts(env, keys, num_envs).obs).ravel().tolist())
    for key in jax.random.split(keys[0], num_envs):
        stepped = {float(env.initial(each)[0]) for each in (key, *jax.random.split(key, 4))}
        assert not pool & stepped
