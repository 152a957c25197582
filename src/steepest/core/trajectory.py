"""What sampling returns and what estimating adds to it."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from steepest.core.histories import Histories
from steepest.core.types import AnyArray, PyTree, TreeOf


class Trajectory(eqx.Module):
    """T steps of N streams side by side. A stream may hold several episodes, one after the other.

    - `obs`, `action`: $s_t$ and $a_t$ as the policy saw and chose them, before any squashing and clipping:
      an array, or where the space is a `Dict`, a `Tuple` or `Masked`, a tree of arrays.
    - `next_obs`: $s'_t$, the true successor of `obs`; never the first observation of the next episode.
    - `reward`: $r_t$, in the environment's unit.
    - `log_prob`: $\\log\\beta(a_t|s_t)$ under the policy that acted, in nats.
    - `terminated`: the successor is absorbing, so its value is 0.
    - `truncated`: a time limit cut the episode here; the successor keeps its value.
    - `carry`: the actor's carry of every stream before the first step, [N, …]; empty without memory.
    - `valid`: whether the row is a real transition. Rows in which an environment reset itself and ignored the action,
      and rows after the last episode wanted, are not, and count for nothing.
    """

    obs: TreeOf[Shaped[AnyArray, "T N ..."]]
    action: TreeOf[Shaped[AnyArray, "T N ..."]]
    next_obs: TreeOf[Shaped[AnyArray, "T N ..."]]
    reward: Float[AnyArray, "T N"]
    log_prob: Float[AnyArray, "T N"]
    terminated: Bool[AnyArray, "T N"]
    truncated: Bool[AnyArray, "T N"]
    valid: Bool[AnyArray, "T N"]
    carry: PyTree = ()

    def extended(self, length: int) -> "Trajectory":
        """The trajectory, in host memory, with further rows that are not valid up to so many."""
        count = length - self.valid.shape[0]
        if count == 0:
            return self
        rows = dataclasses.replace(self, carry=())
        longer = jax.tree.map(lambda each: np.concatenate([each, np.zeros((count, *each.shape[1:]), each.dtype)]), rows)
        return dataclasses.replace(longer, carry=self.carry)


class Estimates(eqx.Module):
    """What the trajectory says about its actions and states.

    - `advantage`: $\\hat A(s_t, a_t)$, in the unit of return.
    - `value_target`: what the critic should have said of $s_t$.
    """

    advantage: Float[AnyArray, "T N"]
    value_target: Float[AnyArray, "T N"]


class Batch(eqx.Module):
    """The rows of a trajectory in one line, with what an objective needs to know of them.

    - `obs`: as the policy is called with them: rows, or `Histories` where it has memory.
    - `log_prob`: $\\log\\pi_{old}(a|s)$.
    - `weight`: 1 for a row that counts, 0 for one that does not.
    - `value_target`: what the critic should have said of the state, for objectives that teach it too.
    """

    obs: PyTree
    action: TreeOf[Shaped[Array, "B ..."]]
    log_prob: Float[Array, " B"]
    advantage: Float[Array, " B"]
    weight: Float[Array, " B"]
    value_target: Float[Array, " B"] | None = None

    @classmethod
    def of(cls, trajectory: Trajectory, estimates: Estimates) -> "Batch":
        """Lay the T × N rows of a trajectory end to end; its carry is the memory of the policy."""
        weight = trajectory.valid.astype(estimates.advantage.dtype)
        rows = trajectory.obs, trajectory.action, trajectory.log_prob, estimates.advantage, weight
        batch = cls(*flatten((*rows, estimates.value_target)))
        return dataclasses.replace(batch, obs=with_memory(batch.obs, trajectory, trajectory.carry))


def with_memory(obs: PyTree, trajectory: Trajectory, carry: PyTree) -> PyTree:
    """The rows of a trajectory as a policy, or a state value, with this memory before the first step is called with.

    **Arguments**

    - `obs`: the observations, laid end to end, as networks take them.
    - `carry`: [N, …]; without memory it is empty, and rows stay rows.

    A row in which an environment reset itself is followed by a new episode, as one that ended is.
    """
    if not jax.tree.leaves(carry):
        return obs
    ended = jnp.logical_or(trajectory.terminated, trajectory.truncated) | ~jnp.asarray(trajectory.valid)
    begins = jnp.concatenate([jnp.zeros_like(ended[:1]), ended[:-1]])
    return Histories(obs, begins.reshape(-1), carry)


def flatten(tree):
    """Merge the two leading axes [T, N] of every array into one."""
    return jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:]), tree)
