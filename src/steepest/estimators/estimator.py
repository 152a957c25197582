"""What an estimator of the gradient is, and what it asks of the world."""

import abc
import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from steepest.advantages import state_discount
from steepest.core.distributions import AbstractDistribution
from steepest.core.interfaces import Policy
from steepest.core.problem import Info
from steepest.core.trajectory import Batch, Estimates, Trajectory, flatten, with_memory
from steepest.core.types import PyTree
from steepest.objectives import AbstractObjective
from steepest.policies import AbstractPolicy


class AbstractRollouts(abc.ABC):
    """Plays whole episodes: compiled, or on the host.

    - `compiled`: whether the methods are pure functions that may be traced.
    """

    compiled: bool

    @abc.abstractmethod
    def play(self, key: Key[Array, ""], policy: Policy, episodes: int) -> Trajectory:
        """One episode in each of `episodes` streams, from its start to its end or to the time limit."""

    @abc.abstractmethod
    def performances(
        self, keys: Key[Array, " M"], policies: PyTree, episodes: int, discount: float | Float[Array, ""]
    ) -> tuple[Float[Array, " M"], Int[Array, ""]]:
        """The mean discounted return of `episodes` episodes under each of M policies, and the steps they took.

        `policies` is a policy with a leading axis M on every leaf.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Give back what the environments hold."""


class AbstractEstimator(eqx.Module):
    """A way to obtain ∇J: gather data, then make a gradient of it.

    The two halves are apart because the first may run on the host, and the second, a pure function, is compiled.
    """

    @abc.abstractmethod
    def collect(self, key: Key[Array, ""], policy: Policy, rollouts: AbstractRollouts, episodes: int) -> PyTree:
        """What there is to learn from: arrays."""

    @abc.abstractmethod
    def gradient(self, policy: Policy, data: PyTree) -> tuple[PyTree, Info]:
        """The gradient, shaped like the policy; and diagnostics, with the environment `steps` that it took."""


def score_gradient(
    objective: AbstractObjective,
    policy: Policy,
    trajectory: Trajectory,
    weight: Float[Array, "T N"],
    state_factor: float | Float[Array, ""] | None,
) -> PyTree:
    r"""$\frac1N\sum_i\sum_t \gamma^t\,\nabla$ `objective` of each row: the sum over an episode, the mean over episodes.

    **Arguments**

    - `objective`: a mean over rows, such as `Score`.
    - `weight`: what the rows' advantage is.
    - `state_factor`: $\gamma$ for the factor $\gamma^t$ (G5, option 2), None for none (option 1).
    """
    if state_factor is not None:
        ended = jnp.logical_or(trajectory.terminated, trajectory.truncated)
        weight = weight * state_discount(ended, state_factor)
    weight = jnp.where(trajectory.valid, weight, 0)
    batch = Batch.of(seen_by(policy, trajectory), Estimates(weight, weight))
    gradient = jax.grad(lambda each: objective(each, batch)[0])(policy)
    # Objectives are means over rows. The gradient of J is a sum over the rows of an episode.
    rows_an_episode = jnp.sum(batch.weight) / trajectory.reward.shape[1]
    return jax.tree.map(lambda leaf: leaf * rows_an_episode, gradient)


def seen_by(policy: Policy, trajectory: Trajectory) -> Trajectory:
    """Whole episodes with the memory that this policy begins them with, whoever played them."""
    streams = trajectory.reward.shape[1]
    return dataclasses.replace(
        trajectory, carry=policy.initial_carry(streams) if isinstance(policy, AbstractPolicy) else ()
    )


def distributions(policy: Policy, trajectory: Trajectory) -> AbstractDistribution:
    """What a policy does in every row of whole episodes, [T, N], whoever played them."""
    seen = seen_by(policy, trajectory)
    if not jax.tree.leaves(seen.carry):
        return policy(trajectory.obs)
    found = policy(with_memory(flatten(seen.obs), seen, seen.carry))
    return jax.tree.map(lambda leaf: leaf.reshape(*trajectory.reward.shape, *leaf.shape[1:]), found)


def steps_of(*trajectories: Trajectory) -> Info:
    """How many steps in environments the data took."""
    return {"steps": sum((jnp.sum(each.valid.astype(jnp.int32)) for each in trajectories), jnp.zeros((), jnp.int32))}
