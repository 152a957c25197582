"""How good a policy is: the undiscounted returns of whole episodes, none of them chosen for being short."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.types import PyTree
from steepest.envs.adapters.vector import AbstractVectorEnvironment
from steepest.envs.environment import AbstractEnvironment
from steepest.sampling.compiled import advance, begin, clip_to, select
from steepest.sampling.host import compiled_act, select_streams

UNENDING = 100_000
"""Steps after which an episode without a time limit is given up: a policy may well stay somewhere for ever."""


@functools.partial(jax.jit, static_argnames=("episodes", "stochastic"))
def evaluate_compiled(
    algorithm: AbstractAlgorithm,
    env: AbstractEnvironment,
    agent: PyTree,
    key: Key[Array, ""],
    *,
    episodes: int,
    stochastic: bool = False,
) -> Float[Array, " episodes"]:
    """The returns of `episodes` episodes, all played side by side until the last has ended.

    Where there is no time limit, that is after `UNENDING` steps at the latest; the return so far counts.
    """
    for_start, for_acting, for_steps = jax.random.split(key, 3)
    agent = algorithm.for_evaluation(agent)
    first_carry = algorithm.initial_carry(dataclasses.replace(algorithm.spec, num_envs=episodes))

    def goes_on(loop) -> Array:
        return ~jnp.all(loop[2]) & ((env.max_episode_steps is not None) | (loop[0] < UNENDING))

    def step(loop):
        time, places, over, carry = loop
        if stochastic:
            action, _, carry = algorithm.act(jax.random.fold_in(for_acting, time), agent, carry, places.obs)
            action = algorithm.to_environment(agent, places.obs, action)
        else:
            action, carry = algorithm.act_deterministic(agent, carry, places.obs)
        action = clip_to(algorithm.spec.action, action)
        after, outcome = advance(env, jax.random.fold_in(for_steps, time), places, action)
        return time + 1, select(over, places, after), over | outcome.terminated | outcome.truncated, carry

    loop = (jnp.zeros((), jnp.int32), begin(env, for_start, episodes), jnp.zeros(episodes, bool), first_carry)
    return jax.lax.while_loop(goes_on, step, loop)[1].episode_return


def evaluate_host(
    algorithm: AbstractAlgorithm,
    env: AbstractVectorEnvironment,
    agent: PyTree,
    key: Key[Array, ""],
    *,
    episodes: int,
    stochastic: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> np.ndarray | None:
    """The returns of `episodes` episodes, [episodes]; None where `stop` said yes before they had ended.

    Every environment plays a number of episodes that is fixed in advance. Taking those that end first would favour
    short ones. Where there is no time limit, play ends after `UNENDING` steps at the latest: the returns so far
    count, and episodes that have not begun are left out.
    """
    act = compiled_act(algorithm)
    # Not the method itself: JAX would hash the algorithm, which may hold arrays.
    act_deterministic = jax.jit(lambda agent, carry, obs: algorithm.act_deterministic(agent, carry, obs))
    quota = np.full(env.num_envs, episodes // env.num_envs)
    quota[: episodes % env.num_envs] += 1
    total, finished, time = np.zeros(env.num_envs), [], 0
    agent, obs = algorithm.for_evaluation(agent), env.reset()
    unending = env.max_episode_steps is None
    carry = first_carry = algorithm.initial_carry(dataclasses.replace(algorithm.spec, num_envs=env.num_envs))
    remembers = bool(jax.tree.leaves(first_carry))
    while quota.any() and not (unending and time == UNENDING):
        if stop():
            return None
        if stochastic:
            action, _, carry = act(key, np.int32(time), agent, carry, obs)
        else:
            action, carry = act_deterministic(agent, carry, obs)
        env.send(np.asarray(action))
        step = env.receive()
        total += np.where(step.valid, step.reward, 0)
        ended = step.valid & (step.terminated | step.truncated)
        for index in np.flatnonzero(ended & (quota > 0)):
            finished.append(total[index])
            quota[index] -= 1
        total[ended] = 0
        if remembers:
            carry = select_streams(~step.valid | ended, first_carry, carry)
        obs, time = step.obs, time + 1
    finished.extend(total[quota > 0])
    return np.array(finished)
