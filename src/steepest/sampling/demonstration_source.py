"""Sampling from what an expert did: rows without replacement, epoch after epoch."""

from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Shaped

from steepest.core.conversion import from_environment, rows_of
from steepest.core.demonstrations import Demonstrations
from steepest.core.distributions import AbstractDistribution
from steepest.core.interfaces import AbstractActor, RolloutSpec
from steepest.core.spaces import Spec, zeros
from steepest.core.trajectory import Trajectory
from steepest.core.types import PyTree, TreeOf
from steepest.sampling.source import AbstractTrajectorySource
from steepest.steps import shuffled_at

_MEASURED_ROWS = 512
"""So many rows are enough to measure a mean log-likelihood after every update."""


@runtime_checkable
class Cloning(Protocol):
    """What a source of demonstrations asks of an actor that learns from it."""

    spec: Spec
    rollout: RolloutSpec

    def distribution(self, agent: PyTree, obs: PyTree) -> AbstractDistribution:
        """The policy's distributions for observations."""
        ...

    def update_normaliser(self, agent: PyTree, obs: PyTree) -> PyTree:
        """The agent with these observations in the moments that it normalises with."""
        ...


class Cursor(eqx.Module):
    """How far one seed has read. `position`: rows so far; with `key` it says which row is next."""

    key: Key[Array, ""]
    position: Int[Array, ""]


class DemonstrationSource(AbstractTrajectorySource):
    r"""N rows at a time of the infinite sequence of epochs, each a random order of all rows.

    Every row is in every epoch once. A trajectory may hold the end of one epoch and the beginning of the next, so it
    is always full. It is one step of N streams whose rows have nothing to do with each other: each terminates, its
    successor is the observation itself, its reward is 0, and the `log_prob` of whoever acted, which nobody knows, is 0.

    The metrics have `log_likelihood`, the mean $\log\pi(a|s)$ of demonstrated actions before the update, in nats, and
    `held_out_log_likelihood`, the same of rows that are never learnt from, where there are any. Both are measured on
    about 512 rows, evenly spaced.

    **Arguments**

    - `obs`, `action`: rows to learn from, actions as environments take them, choices counted from 0.
    - `held_out`: observations and actions of rows that are not.
    """

    obs: TreeOf[Shaped[Array, "B ..."]]
    action: TreeOf[Shaped[Array, "B ..."]]
    held_out: tuple[TreeOf[Shaped[Array, "H ..."]], TreeOf[Shaped[Array, "H ..."]]] | None = None

    @classmethod
    def of(cls, demonstrations: Demonstrations, spec: Spec, held_out: float) -> "DemonstrationSource":
        """From demonstrations that were checked, of which the share `held_out` is kept from learning."""
        learnt, kept = demonstrations.split(held_out)
        return cls(*_arrays(learnt, spec), None if kept is None else _arrays(kept, spec))

    @classmethod
    def blank(cls, spec: Spec) -> "DemonstrationSource":
        """One row of nothing, for whoever asks for shapes only."""
        return cls(*jax.tree.map(jnp.asarray, (zeros(spec.observation, 1), zeros(spec.action, 1))))

    def start(self, key: Key[Array, ""], actor: AbstractActor) -> Cursor:
        return Cursor(key, jnp.zeros((), jnp.int32))

    def prepare_agent(self, actor: Cloning, agent: PyTree) -> PyTree:
        return actor.update_normaliser(agent, self.obs)

    def sample(
        self, actor: Cloning, agent: PyTree, streams: Cursor, key: Key[Array, ""]
    ) -> tuple[Cursor, Trajectory, dict[str, Float[Array, ""]]]:
        count = actor.spec.num_envs
        rows = self._next(streams, count)
        obs, taken = jax.tree.map(lambda each: each[rows][None], (self.obs, self.action))
        action, _ = actor.distribution(agent, obs).unsquash(taken)
        zero, yes = jnp.zeros((1, count), jnp.float32), jnp.ones((1, count), bool)
        trajectory = Trajectory(
            obs=obs,
            action=action,
            next_obs=obs,
            reward=zero,
            log_prob=zero,
            terminated=yes,
            truncated=~yes,
            valid=yes,
        )
        none = jnp.asarray(jnp.nan, jnp.float32)
        metrics = {"episodes": jnp.zeros((), jnp.float32), "return": none, "length": none}
        metrics["log_likelihood"] = _log_likelihood(actor, agent, self.obs, self.action)
        if self.held_out is not None:
            metrics["held_out_log_likelihood"] = _log_likelihood(actor, agent, *self.held_out)
        return Cursor(streams.key, streams.position + count), trajectory, metrics

    def _next(self, cursor: Cursor, count: int) -> Int[Array, " N"]:
        """The numbers of the next rows."""
        size = rows_of(self.obs)
        places = jnp.arange(count, dtype=jnp.int32)
        epoch, place = jnp.divmod(cursor.position + places, size)
        first = cursor.position // size
        touched = (count + size - 2) // size + 1  # so many epochs may give a row
        epochs = first + jnp.arange(touched, dtype=jnp.int32)
        orders = jax.vmap(lambda each: shuffled_at(jax.random.fold_in(cursor.key, each), size, place))(epochs)
        return orders[epoch - first, places]


def _arrays(demonstrations: Demonstrations, spec: Spec) -> tuple[PyTree, PyTree]:
    obs = from_environment(spec.observation, demonstrations.obs)
    return jax.tree.map(jnp.asarray, (obs, from_environment(spec.action, demonstrations.action)))


def _log_likelihood(actor: Cloning, agent: PyTree, obs: PyTree, action: PyTree) -> Float[Array, ""]:
    stride = max(1, rows_of(obs) // _MEASURED_ROWS)
    obs, action = jax.tree.map(lambda each: each[::stride], (obs, action))
    distribution = actor.distribution(agent, obs)
    chosen, log_slope = distribution.unsquash(action)
    return jnp.mean(distribution.log_prob(chosen) - log_slope)
