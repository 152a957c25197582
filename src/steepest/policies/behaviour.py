"""Behaviour policies: what acts while a policy learns, itself with or without noise, or another."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from steepest.core.conversion import rows_of
from steepest.core.distributions import AbstractDistribution
from steepest.core.interfaces import AbstractActor
from steepest.core.spaces import (
    Box,
    Discrete,
    Leaf,
    MaskedObservation,
    MultiDiscrete,
    Space,
    Spec,
    leaves,
    map_leaves,
)
from steepest.core.types import PyTree
from steepest.core.validation import check_number
from steepest.networks import make_head


class AbstractBehaviour(eqx.Module):
    """β, a behaviour policy: how actions are chosen in order to learn from them."""

    def initial_carry(self, spec: Spec) -> PyTree:
        """What it carries from step to step at the start of an episode, [N, …]; empty without memory."""
        return ()

    @abc.abstractmethod
    def act(
        self, key: Key[Array, ""], carry: PyTree, distribution: AbstractDistribution, obs: PyTree
    ) -> tuple[PyTree, Array, PyTree]:
        """Actions, their log-probabilities, and the carry.

        **Arguments**

        - `distribution`: the policy's, for the observations.
        - `obs`: the observations themselves, as the environment gave them.
        """


class OwnPolicy(AbstractBehaviour):
    """The policy itself, with the noise of its own distribution."""

    def act(self, key, carry, distribution, obs) -> tuple[PyTree, Array, PyTree]:
        return *distribution.sample_and_log_prob(key), carry


class NoisyMode(AbstractBehaviour):
    """The policy's mode and its own noise, cut to the bounds of `space`, as the environment would do it.

    The log-probability is that of the action before it was cut.
    """

    space: Box = eqx.field(static=True)

    def act(self, key, carry, distribution, obs) -> tuple[PyTree, Array, PyTree]:
        action, log_prob = distribution.sample_and_log_prob(key)
        taken = distribution.squash(action)
        cut = _cut(self.space, taken)
        return jnp.where(cut == taken, action, distribution.unsquash(cut)[0]), log_prob, carry


class OrnsteinUhlenbeck(AbstractBehaviour):
    r"""The policy's mode, and noise that drifts: $x' = (1-\theta)\,x + \sigma\varepsilon$, anew in every episode.

    Neighbouring steps get nearly the same noise, so it moves things that white noise only shakes. It is carried from
    step to step, so the action given the observation has no density of its own: log-probabilities are 0.

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

    def initial_carry(self, spec: Spec) -> Float[Array, "N d"]:
        return jnp.zeros((spec.num_envs, *self.space.shape), jnp.float32)

    def act(self, key, carry, distribution, obs) -> tuple[PyTree, Array, PyTree]:
        half = (self.space.high - self.space.low)[None] / 2
        taken = _cut(self.space, distribution.squash(distribution.mode()) + half * carry)
        action, _ = distribution.unsquash(taken)
        drifted = (1 - self.pull) * carry + self.std * jax.random.normal(key, carry.shape, carry.dtype)
        return action, jnp.zeros(rows_of(obs), jnp.float32), drifted


class Uniform(AbstractBehaviour):
    """Every action is as likely as any other that is allowed."""

    space: Space = eqx.field(static=True)

    def act(self, key, carry, distribution, obs) -> tuple[PyTree, Array, PyTree]:
        batch = distribution.entropy().shape
        if isinstance(obs, MaskedObservation):
            action, log_prob = _every_choice(self.space, batch).masked(obs.mask).sample_and_log_prob(key)
            return action, log_prob, carry
        found = [leaf for _, leaf in leaves(self.space)]
        keys = iter([key] if len(found) == 1 else jax.random.split(key, len(found)))
        action = map_leaves(lambda leaf: _anywhere(next(keys), leaf, batch), self.space)
        nats = sum(_volume(leaf) for leaf in found)
        action, log_slope = distribution.unsquash(action)
        return action, jnp.broadcast_to(log_slope - nats, batch).astype(jnp.float32), carry


def _anywhere(key: Key[Array, ""], space: Leaf, batch: tuple[int, ...]) -> Array:
    """Uniform actions."""
    match space:
        case Discrete(n=n):
            return jax.random.randint(key, batch, 0, n, jnp.int32)
        case MultiDiscrete(nvec=nvec):
            sizes = jnp.asarray(nvec, jnp.int32).reshape(*[1] * len(batch), len(nvec))
            return jax.random.randint(key, (*batch, len(nvec)), 0, sizes, jnp.int32)
        case Box():
            share = jax.random.uniform(key, (*batch, *space.shape), jnp.float32)
            low, width = (each.reshape(*[1] * len(batch), *each.shape) for each in (space.low, space.high - space.low))
            return jnp.asarray(low) + width * share
        case _:
            return jax.random.randint(key, (*batch, *space.shape), 0, 2, jnp.int32)


def _volume(space: Leaf) -> float:
    """The entropy of a uniform action, in nats."""
    match space:
        case Discrete(n=n):
            return math.log(n)
        case MultiDiscrete(nvec=nvec):
            return float(np.sum(np.log(nvec)))
        case Box():
            return float(np.sum(np.log(space.high - space.low)))
        case _:
            return math.prod(space.shape) * math.log(2)


def _every_choice(space: Space, batch: tuple[int, ...]) -> AbstractDistribution:
    """The uniform distribution over choices."""
    head = make_head(space)
    return head(jnp.zeros((*batch, head.inputs), jnp.float32))


class Other(AbstractBehaviour):
    """Another actor, with an agent that does not change, and its carry."""

    actor: AbstractActor
    agent: PyTree

    def initial_carry(self, spec: Spec) -> PyTree:
        return self.actor.initial_carry(spec)

    def act(self, key, carry, distribution, obs) -> tuple[PyTree, Array, PyTree]:
        action, log_prob, carry = self.actor.act(key, self.agent, carry, obs)
        theirs = self.actor.distribution(self.agent, obs)
        if theirs is not None:
            if jax.tree.structure(theirs) == jax.tree.structure(distribution):
                return action, log_prob, carry  # both squash alike, or neither does
            action = theirs.squash(action)
            log_prob = log_prob - theirs.unsquash(action)[1]
        action, log_slope = distribution.unsquash(action)
        return action, log_prob + log_slope, carry


def _cut(space: Box, action: Float[Array, "N ..."]) -> Float[Array, "N ..."]:
    return jnp.clip(action, space.low[None], space.high[None])
