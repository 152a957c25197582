"""How good a policy is: the undiscounted returns of whole episodes, none of them chosen for being short."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.spaces import Masked
from steepest.core.types import AnyArray, PyTree
from steepest.envs.adapters.vector import AbstractVectorEnvironment
from steepest.envs.environment import AbstractEnvironment
from steepest.sampling.compiled import advance, begin, can_act, clip_to, select
from steepest.sampling.host import compiled_act, on_host, select_streams


class Played(NamedTuple):
    """Episodes that were played: their undiscounted returns, and which of them were truncated.

    `stuck` are those in which an action mask allowed no action; None where that was refused at once.
    """

    returns: Float[AnyArray, " episodes"]
    truncated: Bool[AnyArray, " episodes"]
    stuck: Bool[AnyArray, " episodes"] | None = None


@functools.partial(jax.jit, static_argnames=("episodes", "stochastic"))
def evaluate_compiled(
    algorithm: AbstractAlgorithm,
    env: AbstractEnvironment,
    agent: PyTree,
    key: Key[Array, ""],
    *,
    episodes: int,
    stochastic: bool = False,
) -> Played:
    """Play `episodes` episodes, side by side until the last has ended, which they do not all without a time limit."""
    for_start, for_acting, for_steps = jax.random.split(key, 3)
    agent = algorithm.for_evaluation(agent)
    first_carry = algorithm.initial_carry(dataclasses.replace(algorithm.spec, num_envs=episodes))

    def goes_on(loop) -> Array:
        return ~jnp.all(loop[2])

    def step(loop):
        time, places, over, cut, carry, stuck = loop
        if stochastic:
            action, _, carry = algorithm.act(jax.random.fold_in(for_acting, time), agent, carry, places.obs)
            action = algorithm.squash(agent, places.obs, action)
        else:
            action, carry = algorithm.act_deterministic(agent, carry, places.obs)
        action = clip_to(algorithm.spec.action, action)
        after, outcome = advance(env, jax.random.fold_in(for_steps, time), places, action)
        if stuck is not None:
            stuck = stuck | (~over & ~can_act(env, places.obs))
        cut = jnp.where(over, cut, outcome.truncated & ~outcome.terminated)
        ended = over | outcome.terminated | outcome.truncated
        return time + 1, select(over, places, after), ended, cut, carry, stuck

    none = jnp.zeros(episodes, bool)
    masks = none if isinstance(algorithm.spec.observation, Masked) else None
    loop = (jnp.zeros((), jnp.int32), begin(env, for_start, episodes), none, none, first_carry, masks)
    _, places, _, cut, _, stuck = jax.lax.while_loop(goes_on, step, loop)
    return Played(places.episode_return, cut, stuck)


def evaluate_host(
    algorithm: AbstractAlgorithm,
    env: AbstractVectorEnvironment,
    agent: PyTree,
    key: Key[Array, ""],
    *,
    episodes: int,
    stochastic: bool = False,
    stop: Callable[[], bool] = lambda: False,
    heard: Callable[[int, int], None] = lambda ended, truncated: None,
) -> Played | None:
    """Play `episodes` episodes; None where `stop` said yes before they had ended.

    Every environment plays a number of episodes that is fixed in advance. Taking those that end first would favour
    short ones. Without a time limit they need not end.

    **Arguments**

    - `heard`: called when some have ended: how many so far, and how many of those were truncated.
    """
    act = compiled_act(algorithm)
    # Not the method itself: JAX would hash the algorithm, which may hold arrays.
    act_deterministic = jax.jit(lambda agent, carry, obs: algorithm.act_deterministic(agent, carry, obs))
    quota = np.full(env.num_envs, episodes // env.num_envs)
    quota[: episodes % env.num_envs] += 1
    total, finished, cut, time = np.zeros(env.num_envs), [], [], 0
    agent, obs = algorithm.for_evaluation(agent), env.reset(quota)
    carry = first_carry = algorithm.initial_carry(dataclasses.replace(algorithm.spec, num_envs=env.num_envs))
    remembers = bool(jax.tree.leaves(first_carry))
    while quota.any():
        if stop():
            return None
        if stochastic:
            action, _, carry = act(key, np.int32(time), agent, carry, obs)
        else:
            action, carry = act_deterministic(agent, carry, obs)
        env.send(on_host(action))
        step = env.receive()
        total += np.where(step.valid, step.reward, 0)
        ended = step.valid & (step.terminated | step.truncated)
        for index in np.flatnonzero(ended & (quota > 0)):
            finished.append(total[index])
            cut.append(bool(step.truncated[index] & ~step.terminated[index]))
            quota[index] -= 1
        if ended.any():
            heard(len(finished), sum(cut))
        total[ended] = 0
        if remembers:
            carry = select_streams(~step.valid | ended, first_carry, carry)
        obs, time = step.obs, time + 1
    return Played(np.array(finished), np.array(cut))
