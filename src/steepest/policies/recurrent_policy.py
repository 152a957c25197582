"""Policies with memory: distributions over actions that depend on all that was seen in an episode (G19)."""

import jax
from jaxtyping import Array, Float, Key

from steepest.core.distributions import AbstractDistribution
from steepest.core.histories import Histories, observations_of
from steepest.core.types import PyTree
from steepest.networks import AbstractHead, Dense, RecurrentTrunk
from steepest.policies.policy import AbstractPolicy, AbstractPolicyWithValue


class RecurrentPolicy(AbstractPolicy):
    """An encoder, dense layers, a memory, a linear layer and a head: $\\pi_\\theta(\\cdot|h_t)$.

    Called with `Histories`, it returns a distribution for every row; a bare observation is taken for the first of an
    episode.

    >>> from steepest.core.spaces import Box
    >>> from steepest.networks import CategoricalHead, FlatEncoder
    >>> key, encoder = jax.random.key(0), FlatEncoder(Box(-1, 1, (4,)))
    >>> trunk = RecurrentTrunk.initial(key, encoder, hidden=(16,), activation="tanh", memory="gru", size=8)
    >>> policy = RecurrentPolicy.initial(key, trunk, CategoricalHead(2))
    >>> distribution, carry = policy.step(policy.initial_carry(3), jax.numpy.ones((3, 4)))
    >>> distribution.logits.shape, carry.shape
    ((3, 2), (3, 8))
    """

    trunk: RecurrentTrunk
    policy_output: Dense
    head: AbstractHead

    @classmethod
    def initial(
        cls, key: Key[Array, ""], trunk: RecurrentTrunk, head: AbstractHead, *, output_scale: float = 0.01
    ) -> "RecurrentPolicy":
        """Draw the layer between a trunk and a head; it starts small, so that the policy is near uniform."""
        return cls(trunk, _linear(key, trunk.size, head.inputs, output_scale), head)

    def __call__(self, obs: PyTree) -> AbstractDistribution:
        return self.head.in_place(self.policy_output(self.trunk(obs)), observations_of(obs))

    def initial_carry(self, num_streams: int) -> PyTree:
        return self.trunk.initial_carry(num_streams)

    def carries(self, rows: Histories) -> PyTree:
        return self.trunk.unroll(rows)[1]

    def step(self, carry: PyTree, obs: PyTree) -> tuple[AbstractDistribution, PyTree]:
        features, carry = self.trunk.step(carry, obs)
        return self.head.in_place(self.policy_output(features), obs), carry


class RecurrentSharedNetwork(AbstractPolicyWithValue):
    """One trunk with a memory, and two heads on it: the policy's and the value's (C5).

    - `trunk`: encoder, hidden layers and memory.
    - `policy_output`, `value_output`: a linear layer each, on what the memory puts out.
    """

    trunk: RecurrentTrunk
    policy_output: Dense
    value_output: Dense
    head: AbstractHead

    @classmethod
    def initial(
        cls, key: Key[Array, ""], trunk: RecurrentTrunk, head: AbstractHead, *, output_scale: float = 0.01
    ) -> "RecurrentSharedNetwork":
        """Draw the two layers. The policy's starts small, so that it is near uniform, and the value's at scale 1."""
        for_policy, for_value = jax.random.split(key)
        policy = _linear(for_policy, trunk.size, head.inputs, output_scale)
        return cls(trunk, policy, _linear(for_value, trunk.size, 1, 1.0), head)

    def both(self, obs: PyTree) -> tuple[AbstractDistribution, Float[Array, "*batch"]]:
        return self._heads(self.trunk(obs), observations_of(obs))

    def initial_carry(self, num_streams: int) -> PyTree:
        return self.trunk.initial_carry(num_streams)

    def carries(self, rows: Histories) -> PyTree:
        return self.trunk.unroll(rows)[1]

    def step(self, carry: PyTree, obs: PyTree) -> tuple[AbstractDistribution, PyTree]:
        features, carry = self.trunk.step(carry, obs)
        return self._heads(features, obs)[0], carry

    def value_with_successors(self, rows: Histories, next_obs: PyTree) -> tuple[Array, Array]:
        features, following = self.trunk.with_successors(rows, next_obs)
        return self._value(features), self._value(following)

    def _heads(
        self, features: Float[Array, "*batch H"], obs: PyTree
    ) -> tuple[AbstractDistribution, Float[Array, "*batch"]]:
        return self.head.in_place(self.policy_output(features), obs), self._value(features)

    def _value(self, features: Float[Array, "*batch H"]) -> Float[Array, "*batch"]:
        return self.value_output(features)[..., 0]


def _linear(key: Key[Array, ""], inputs: int, outputs: int, scale: float) -> Dense:
    return Dense.initial(key, (inputs, outputs), activation="tanh", output_scale=scale)
