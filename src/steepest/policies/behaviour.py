"""Whoever acts while a policy learns from it: the policy itself, with noise or without, or somebody else."""

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from steepest.core.distributions import AbstractDistribution
from steepest.core.interfaces import AbstractActor
from steepest.core.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space, Spec
from steepest.core.types import AnyArray, PyTree
from steepest.core.validation import check_number


class AbstractBehaviour(eqx.Module):
    """β: how actions are chosen in order to learn from them."""

    @property
    def together(self) -> bool:
        """Whether `act` must be given the observations of all streams at once."""
        return False

    def init(self, spec: Spec) -> PyTree:
        """What it carries from one step to the next."""
        return ()

    @abc.abstractmethod
    def act(
        self, key: Key[Array, ""], state: Any, distribution: AbstractDistribution, obs: AnyArray
    ) -> tuple[Array, Array]:
        """Actions and their log-probabilities.

        **Arguments**

        - `distribution`: what the policy says of the observations.
        - `obs`: the observations themselves, as the environment gave them.
        """

    def advance(self, key: Key[Array, ""], state: Any, ended: Bool[AnyArray, "T N"]) -> PyTree:
        """The next state, after steps of which some ended an episode."""
        return state


class OwnPolicy(AbstractBehaviour):
    """The policy acts, with the noise that it has of its own."""

    def act(self, key, state, distribution, obs) -> tuple[Array, Array]:
        return distribution.sample_and_log_prob(key)


class NoisyMode(AbstractBehaviour):
    """The policy's mode and its Gaussian noise, cut to the bounds of `space`, as the environment would do it.

    The log-probability is that of the action before it was cut.
    """

    space: Box = eqx.field(static=True)

    def act(self, key, state, distribution, obs) -> tuple[Array, Array]:
        action, log_prob = distribution.sample_and_log_prob(key)
        return _cut(self.space, action), log_prob


class OrnsteinUhlenbeck(AbstractBehaviour):
    r"""The policy's mode, and noise that drifts: $x' = (1-\theta)\,x + \sigma\varepsilon$, anew in every episode.

    Neighbouring steps get nearly the same noise, so it moves things that white noise only shakes. What was drawn is
    carried in the agent, so the action has no density of its own: log-probabilities are 0.

    **Arguments**

    - `pull`: θ, the part of the noise that goes at a step.
    - `std`: σ, relative to half the width of the space.

    **Reference** Lillicrap et al., *Continuous control with deep reinforcement learning*, 2016, section 7.
    """

    space: Box = eqx.field(static=True)
    pull: float | Float[Array, ""] = 0.15
    std: float | Float[Array, ""] = 0.2

    def __check_init__(self):
        check_number("pull", self.pull, above=0, at_most=1, remedy="0.15 is usual.")
        check_number("std", self.std, at_least=0, remedy="0.2 is usual.")

    @property
    def together(self) -> bool:
        return True

    def init(self, spec: Spec) -> Float[Array, "N d"]:
        return jnp.zeros((spec.num_envs, *self.space.shape), jnp.float32)

    def act(self, key, state, distribution, obs) -> tuple[Array, Array]:
        half = (self.space.high - self.space.low)[None] / 2
        return _cut(self.space, distribution.mode() + half * state), jnp.zeros(obs.shape[0], jnp.float32)

    def advance(self, key, state, ended) -> Float[Array, "N d"]:
        drifted = (1 - self.pull) * state + self.std * jax.random.normal(key, state.shape, state.dtype)
        return jnp.where(jnp.any(ended, axis=0)[:, None], 0, drifted)


class Uniform(AbstractBehaviour):
    """Every action is as likely as any other."""

    space: Space = eqx.field(static=True)

    def act(self, key, state, distribution, obs) -> tuple[Array, Array]:
        count, space = distribution.entropy().shape, self.space
        match space:
            case Discrete(n=n):
                return jax.random.randint(key, count, 0, n, jnp.int32), jnp.full(count, -math.log(n), jnp.float32)
            case MultiDiscrete(nvec=nvec):
                sizes = jnp.asarray(nvec, jnp.int32).reshape(*[1] * len(count), len(nvec))
                action = jax.random.randint(key, (*count, len(nvec)), 0, sizes, jnp.int32)
                return action, jnp.full(count, -float(np.sum(np.log(nvec))), jnp.float32)
            case MultiBinary(n=n):
                return jax.random.randint(key, (*count, n), 0, 2, jnp.int32), jnp.full(
                    count, -n * math.log(2), jnp.float32
                )
            case Box():
                share = jax.random.uniform(key, (*count, *space.shape), jnp.float32)
                low, width = (
                    each.reshape(*[1] * len(count), *each.shape) for each in (space.low, space.high - space.low)
                )
                return jnp.asarray(low) + width * share, jnp.full(count, -float(np.sum(np.log(width))), jnp.float32)


class Other(AbstractBehaviour):
    """Another actor, with an agent that does not change."""

    actor: AbstractActor
    agent: Any

    def act(self, key, state, distribution, obs) -> tuple[Array, Array]:
        return self.actor.act(key, self.agent, obs)


def _cut(space: Box, action: Float[Array, "N ..."]) -> Float[Array, "N ..."]:
    return jnp.clip(action, space.low[None], space.high[None])
