"""Whole episodes for estimators of the gradient: compiled, or on the host."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from steepest._platform import configure_platform
from steepest.advantages import MonteCarlo
from steepest.core.interfaces import AbstractActor, Policy, RolloutSpec
from steepest.core.spaces import SpacesOfEnvironment, Spec
from steepest.core.trajectory import Trajectory
from steepest.core.types import PyTree
from steepest.envs.adapters.vector import AbstractVectorEnvironment
from steepest.envs.environment import AbstractEnvironment
from steepest.estimators import AbstractRollouts
from steepest.policies import AbstractPolicy
from steepest.sampling.compiled import sample, start
from steepest.sampling.host import HostStreams


class Playing(AbstractActor):
    """An actor that acts by a policy, which is the agent.

    - `apart`: every stream has a policy of its own; leaves of the agent have a leading axis of streams.
    - `first_carry`: of the policy, at the start of an episode.
    """

    spec: Spec = eqx.field(static=True)
    rollout: RolloutSpec = eqx.field(static=True)
    apart: bool = eqx.field(static=True, default=False)
    first_carry: PyTree = ()

    def initial_carry(self, spec: Spec) -> PyTree:
        return self.first_carry

    def act(
        self, key: Key[Array, ""], agent: PyTree, carry: PyTree, obs: PyTree
    ) -> tuple[PyTree, Float[Array, " N"], PyTree]:
        def draw(policy: Policy, carry: PyTree, obs: PyTree) -> tuple[PyTree, Array, PyTree]:
            distribution, carry = (
                policy.step(carry, obs) if isinstance(policy, AbstractPolicy) else (policy(obs), carry)
            )
            return *distribution.sample_and_log_prob(key), carry

        def draw_one(policy: Policy, carry: PyTree, obs: PyTree) -> tuple[PyTree, Array, PyTree]:
            found = draw(policy, *jax.tree.map(lambda leaf: leaf[None], (carry, obs)))
            return jax.tree.map(lambda leaf: leaf[0], found)

        # One key for all: where the streams differ in their policies, they do not differ in their luck.
        each = draw_one if jax.tree.leaves(carry) else draw  # a memory has an axis of streams
        return jax.vmap(each)(agent, carry, obs) if self.apart else draw(agent, carry, obs)

    def distribution(self, agent: PyTree, obs: PyTree) -> Any:  # that of a policy without noise has fewer methods
        return jax.vmap(lambda policy, obs: policy(obs))(agent, obs) if self.apart else agent(obs)


class CompiledRollouts(AbstractRollouts):
    """Episodes of an environment written in JAX; everything may be traced. Called as it is, it is compiled once."""

    compiled = True

    def __init__(self, env: AbstractEnvironment, max_episode_steps: int | None = None):
        configure_platform()
        self._env, self._length = env, max_episode_steps
        self._play = jax.jit(self._played, static_argnums=2)
        self._performances = jax.jit(self._performed, static_argnums=2)

    def close(self) -> None:
        """Nothing is held."""

    def play(self, key: Key[Array, ""], policy: Policy, episodes: int) -> Trajectory:
        return self._play(key, policy, episodes)

    def performances(
        self, keys: Key[Array, " M"], policies: PyTree, episodes: int, discount: float | Float[Array, ""]
    ) -> tuple[Float[Array, " M"], Int[Array, ""]]:
        return self._performances(keys, policies, episodes, discount)

    def _played(self, key: Key[Array, ""], policy: Policy, episodes: int) -> Trajectory:
        actor = _playing(self._env, policy, episodes, self._length)
        for_env, for_actions = jax.random.split(key)
        return sample(actor, policy, self._env, start(actor, self._env, for_env), for_actions)[1]

    def _performed(
        self, keys: Key[Array, " M"], policies: PyTree, episodes: int, discount: float | Float[Array, ""]
    ) -> tuple[Float[Array, " M"], Int[Array, ""]]:
        def one(key, policy):
            trajectory = self.play(key, policy, episodes)
            return jnp.mean(returns(trajectory, discount)), jnp.sum(trajectory.valid.astype(jnp.int32))

        performance, steps = jax.vmap(one)(keys, policies)
        return performance, jnp.sum(steps)


class HostRollouts(AbstractRollouts):
    """Episodes of environments outside JAX: as many at once as there are slots, one after another beyond that.

    **Arguments**

    - `make`: `(num_envs, seed)` to a vector environment.
    - `slots`: how many environments step side by side.
    - `seed`: of the first of them.
    - `max_episode_steps`: where to stop looking.
    """

    compiled = False

    def __init__(
        self,
        make: Callable[[int, int], AbstractVectorEnvironment],
        slots: int,
        seed: int,
        max_episode_steps: int,
    ):
        configure_platform()
        self._make, self._seed, self._slots, self._length = make, seed, slots, max_episode_steps
        self._open: dict[tuple[int, bool], HostStreams] = {}

    def play(self, key: Key[Array, ""], policy: Policy, episodes: int) -> Trajectory:
        rounds = [min(self._slots, episodes - begin) for begin in range(0, episodes, self._slots)]
        parts = [
            self._streams(policy, width, apart=False).sample(policy, jax.random.fold_in(key, index))[0]
            for index, width in enumerate(rounds)
        ]
        # Side by side they are of one length; and a trajectory of another one would be another program.
        parts = [part.extended(self._length) for part in parts]
        return jax.tree.map(lambda *each: np.concatenate(each, axis=1), *parts)

    def performances(
        self, keys: Key[Array, " M"], policies: PyTree, episodes: int, discount: float | Float[Array, ""]
    ) -> tuple[Float[Array, " M"], Int[Array, ""]]:
        count = keys.shape[0]
        total, steps = np.zeros(count), 0
        for begin in range(0, count, self._slots):
            end = min(begin + self._slots, count)
            some = jax.tree.map(lambda leaf, begin=begin, end=end: leaf[begin:end], policies)
            streams = self._streams(policies, end - begin, apart=True)
            for episode in range(episodes):
                trajectory, _ = streams.sample(some, jax.random.fold_in(keys[begin], episode))
                total[begin:end] += np.asarray(returns(trajectory.extended(self._length), discount))
                steps += int(trajectory.valid.sum())
        return jnp.asarray(total / episodes, jnp.float32), jnp.asarray(steps, jnp.int32)

    def close(self) -> None:
        """Give back what the environments hold."""
        for streams in self._open.values():
            streams.close()
        self._open.clear()

    def _streams(self, policy: Policy, width: int, *, apart: bool) -> HostStreams:
        if (width, apart) not in self._open:
            env = self._make(width, self._seed + len(self._open))
            actor = _playing(env, policy, width, self._length, apart=apart)
            self._open[width, apart] = HostStreams(actor, [env])
        return self._open[width, apart]


def _playing(
    env: SpacesOfEnvironment, policy: Policy, num_envs: int, length: int | None, *, apart: bool = False
) -> Playing:
    spec = Spec(env.observation_space, env.action_space, num_envs=num_envs, total_updates=1)
    one = jax.tree.map(lambda leaf: leaf[0], policy) if apart else policy
    carry = one.initial_carry(num_envs) if isinstance(one, AbstractPolicy) else ()
    return Playing(spec, RolloutSpec(length=length, whole_episodes=True), apart, carry)


@jax.jit
def returns(trajectory: Trajectory, discount: float | Float[Array, ""]) -> Float[Array, " N"]:
    """The discounted return of the episode that each stream begins with."""
    zero = jnp.zeros_like(trajectory.reward)
    return MonteCarlo(discount)(trajectory, zero, zero).value_target[0]
