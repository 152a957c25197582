"""Sampling from environments that are compiled together with the policy."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from steepest.core.interfaces import AbstractActor
from steepest.core.spaces import Box, Leaf, Mask, MaskedObservation, Space, map_leaves
from steepest.core.trajectory import Trajectory
from steepest.core.types import PyTree
from steepest.core.validation import check_number
from steepest.envs.environment import AbstractEnvironment


class EnvState(eqx.Module):
    """Where N copies of an environment are.

    - `state`, `obs`: of each copy.
    - `elapsed`: steps since its episode began.
    - `episode_return`: undiscounted reward since then.
    """

    state: PyTree
    obs: PyTree
    elapsed: Int[Array, " N"]
    episode_return: Float[Array, " N"]


class Streams(eqx.Module):
    """N copies of an environment that play one episode after another, and what acting in them carries.

    The environments' own randomness is that of `key`, the number of `restarts`, and the `time` since the last of them;
    it depends on nothing else.
    """

    places: EnvState
    key: Key[Array, ""]
    restarts: Int[Array, ""]
    time: Int[Array, ""]
    carry: PyTree = ()


class Outcome(eqx.Module):
    """What one step of N copies brought."""

    reward: Float[Array, " N"]
    terminated: Bool[Array, " N"]
    truncated: Bool[Array, " N"]


class Episodes(eqx.Module):
    """Episodes that ended: how many, and the sums of their undiscounted returns and of their lengths."""

    count: Float[Array, ""]
    total_return: Float[Array, ""]
    total_length: Float[Array, ""]


def start(actor: AbstractActor, env: AbstractEnvironment, key: Key[Array, ""]) -> Streams:
    """Begin an episode in every stream of an actor."""
    one, spec = jnp.ones((), jnp.int32), actor.spec
    return Streams(begin(env, env_key(key, 1, 0), spec.num_envs), key, one, one, actor.initial_carry(spec))


def env_key(key: Key[Array, ""], restarts: Int[Array, ""] | int, time: Int[Array, ""] | int) -> Key[Array, ""]:
    """The key of the environments' own randomness at one step; time 0 is the restart itself."""
    return jax.random.fold_in(jax.random.fold_in(key, restarts), time)


def begin(env: AbstractEnvironment, key: Key[Array, ""], num_envs: int) -> EnvState:
    """Fresh starts of `num_envs` episodes."""
    state = _strong(jax.vmap(env.initial)(jax.random.split(key, num_envs)))
    return EnvState(state, _observe(env, state), jnp.zeros(num_envs, jnp.int32), jnp.zeros(num_envs, jnp.float32))


def advance(
    env: AbstractEnvironment, key: Key[Array, ""], places: EnvState, action: PyTree
) -> tuple[EnvState, Outcome]:
    """Step every copy once, without starting anew those that end. Actions are clipped already.

    Where the mask of a copy allows no action, whatever it takes is worth NaN, so that nobody learns from it.
    """
    keys = jax.random.split(key, places.elapsed.shape[0])
    state, reward, terminated = _strong(jax.vmap(env.step)(keys, places.state, action))
    elapsed = places.elapsed + 1
    limit = env.max_episode_steps
    truncated = jnp.zeros_like(terminated) if limit is None else elapsed >= limit
    reward, obs = _narrow(reward), _observe(env, state)
    if isinstance(obs, MaskedObservation):
        reward = jnp.where(can_act(env, places.obs), reward, jnp.nan)
        # Where all is over nothing is chosen, and environments allow nothing.
        obs = MaskedObservation(obs.observation, obs.mask | terminated[:, None])
    after = EnvState(state, obs, elapsed, places.episode_return + reward)
    return after, Outcome(reward, terminated, truncated)


def can_act(env: AbstractEnvironment, obs: MaskedObservation) -> Bool[Array, " N"]:
    """Whether the mask of every copy allows an action."""
    # By the space of actions: that of observations may depend on constants that are traced here.
    return Mask.of(env.action_space).allows(obs.mask)


def _observe(env: AbstractEnvironment, state: PyTree) -> PyTree:
    return jax.tree.map(_narrow, _strong(jax.vmap(env.observe)(state)))


def _strong(tree: PyTree) -> PyTree:
    """Fix the types: what an environment makes of Python's numbers must not change from one step to the next."""
    return jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), tree)


def _narrow(array: Array) -> Array:
    """In single precision, whatever an environment computes in where double precision is on."""
    narrower = {"float64": jnp.float32, "int64": jnp.int32}.get(array.dtype.name)
    return array if narrower is None else array.astype(narrower)


def clip_to(space: Space, action: PyTree) -> PyTree:
    """An action as the environment takes it: within its bounds."""

    def clipped(leaf: Leaf, action: Array) -> Array:
        return jnp.clip(action, leaf.low[None], leaf.high[None]) if isinstance(leaf, Box) else action

    return map_leaves(clipped, space, action)


def select(choose: Bool[Array, " N"], one: PyTree, other: PyTree) -> PyTree:
    """Row by row, `one` where `choose` and `other` elsewhere."""
    return jax.tree.map(lambda a, b: jnp.where(choose.reshape(-1, *[1] * (a.ndim - 1)), a, b), one, other)


def fresh_starts(env: AbstractEnvironment, keys: Key[Array, " T"], num_envs: int) -> EnvState:
    """A fresh start of every stream at every step, [T, N, …]: drawn for each, or taken from the environment's pool."""
    check_number("reset_pool", env.reset_pool, at_least=0, whole=True, remedy="0 draws a start for every reset.")
    if not env.reset_pool:
        # Every step may need fresh starts. Drawing them all at once costs less than a few at each step.
        return jax.vmap(lambda each: begin(env, each, num_envs))(keys)
    # The environments of a step split its key among them, which is to fold in 0, …, N − 1; so these two are new.
    for_pool, for_choice = (jax.random.fold_in(keys[0], num_envs + each) for each in range(2))
    pool = begin(env, for_pool, env.reset_pool)
    chosen = jax.random.randint(for_choice, (keys.shape[0], num_envs), 0, env.reset_pool, jnp.int32)
    return jax.tree.map(lambda leaf: leaf[chosen], pool)


def sample(
    actor: AbstractActor, agent: PyTree, env: AbstractEnvironment, streams: Streams, key: Key[Array, ""]
) -> tuple[Streams, Trajectory, Episodes]:
    """Sample as `actor.rollout` says: a segment of every stream, or a whole episode of each.

    **Arguments**

    - `key`: of the actions; those at step t are drawn with `fold_in(key, t)`.

    **Returns** where the streams are now, [T, N] transitions, and the episodes that ended among them.
    """
    num_envs, rollout = actor.spec.num_envs, actor.rollout
    length = rollout.length or env.max_episode_steps
    if length is None:
        raise ValueError(f"{env.id} has no time limit, so its episodes need not end; give it max_episode_steps.")
    first_carry = actor.initial_carry(actor.spec)
    if rollout.whole_episodes:
        restart = begin(env, env_key(streams.key, streams.restarts, 0), num_envs)
        streams = Streams(restart, streams.key, streams.restarts, jnp.ones((), jnp.int32), first_carry)
    steps = jnp.arange(length, dtype=jnp.int32)
    env_keys = jax.vmap(env_key, (None, None, 0))(streams.key, streams.restarts, streams.time + steps)
    act_keys = jax.vmap(jax.random.fold_in, (None, 0))(key, steps)
    fresh = fresh_starts(env, env_keys, num_envs)

    def step(carry, row):
        places, active, memory = carry
        act_key, step_key, fresh = row
        action, log_prob, memory = actor.act(act_key, agent, memory, places.obs)
        taken = clip_to(actor.spec.action, actor.squash(agent, places.obs, action))
        after, outcome = advance(env, step_key, places, taken)
        ended = outcome.terminated | outcome.truncated
        transition = {
            "obs": places.obs,
            "action": action,
            "next_obs": after.obs,
            "reward": outcome.reward,
            "log_prob": log_prob,
            "terminated": outcome.terminated,
            "truncated": outcome.truncated,
            "valid": active,
        }
        finished = (ended & active).astype(jnp.float32)
        episodes = (finished, finished * after.episode_return, finished * after.elapsed.astype(jnp.float32))
        still_active = active & ~ended if rollout.whole_episodes else active
        after, memory = select(ended, (fresh, first_carry), (after, memory))
        return (after, still_active, memory), (transition, episodes)

    start_of_scan = (streams.places, jnp.ones(num_envs, bool), streams.carry)
    (places, _, memory), (rows, episodes) = jax.lax.scan(step, start_of_scan, (act_keys, env_keys, fresh))
    restarts = streams.restarts + 1 if rollout.whole_episodes else streams.restarts
    trajectory = Trajectory(**rows, carry=streams.carry)
    streams = Streams(places, streams.key, restarts, streams.time + length, memory)
    return streams, trajectory, Episodes(*map(jnp.sum, episodes))
