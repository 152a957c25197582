"""Action-value critics made of others: their minimum, and with clipped actions."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steepest.core.spaces import Box, Leaf, Space, map_leaves
from steepest.core.types import AnyArray, PyTree
from steepest.critics.action_value import AbstractActionValue


class MinimumActionValue(AbstractActionValue):
    r"""The minimum $\min_i Q_i(s,a)$ of several critics (clipped double Q-learning).

    It counteracts the overestimation that maximising a single critic causes.

    **Reference** Fujimoto, van Hoof and Meger, *Addressing Function Approximation Error in Actor-Critic Methods*, 2018.
    """

    critics: tuple[AbstractActionValue, ...]

    def __call__(self, obs: PyTree, action: PyTree) -> Float[Array, "*batch"]:
        return functools.reduce(jnp.minimum, [critic(obs, action) for critic in self.critics])

    def values(self, obs: PyTree) -> Float[Array, "*batch A"]:
        return functools.reduce(jnp.minimum, [critic.values(obs) for critic in self.critics])


class ClippedActions(AbstractActionValue):
    """An action-value critic of the clipped action, as the environment clips it to the bounds of `space`.

    $\\nabla_a Q$ is therefore 0 beyond the bounds.
    """

    critic: AbstractActionValue
    space: Space

    def __call__(self, obs: PyTree, action: PyTree) -> Float[Array, "*batch"]:
        return self.critic(obs, within_bounds(self.space, action))

    def values(self, obs: PyTree) -> Float[Array, "*batch A"]:
        return self.critic.values(obs)


def within_bounds(space: Space, action: PyTree) -> PyTree:
    """The action clipped to the bounds of its space, as the environment does; choices as they are.

    >>> print(within_bounds(Box(-1, 1, (2,)), jnp.array([0.5, 3.0])))
    [0.5 1. ]
    """
    return map_leaves(_clipped, space, action)


def _clipped(space: Leaf, action: AnyArray) -> AnyArray:
    if not isinstance(space, Box):
        return action
    along = (1,) * (action.ndim - len(space.shape)) + space.shape
    low, high = (np.asarray(bound).reshape(along) for bound in (space.low, space.high))
    return jnp.clip(action, low, high)
