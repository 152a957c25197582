"""The networks of an algorithm: what its hyper-parameters describe, or any modules of the user's own."""

import dataclasses
import functools
import math
from typing import Literal, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from steepest.core.spaces import Spec
from steepest.critics import (
    AbstractActionValue,
    AbstractStateValue,
    ActionValue,
    CompatibleActionValue,
    RecurrentValue,
    StateValue,
    TabularActionValue,
)
from steepest.networks import ActivationName, Encoding, GaussianKind, RecurrentTrunk, make_head
from steepest.policies import (
    AbstractPolicy,
    RecurrentPolicy,
    RecurrentSharedNetwork,
    SharedNetwork,
    TabularPolicy,
    network_policy,
)


class Networks(eqx.Module):
    """The function approximators of an algorithm. Their array leaves are the parameters.

    - `policy`: $\\pi_\\theta$.
    - `critic`: $V_\\phi$ of on-policy algorithms, or the critics of actions of those with a replay buffer. None where
      there is none, or where the policy is an `AbstractPolicyWithValue`.
    """

    policy: AbstractPolicy
    critic: AbstractStateValue | tuple[AbstractActionValue, ...] | None = None


@runtime_checkable
class MakeNetworks(Protocol):
    """A function that draws fresh networks for a task; `networks=` takes any."""

    def __call__(self, key: Key[Array, ""], spec: Spec) -> Networks:
        """Fresh networks, their shapes decided by the spaces of `spec`."""
        ...


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Networks as hyper-parameters describe them; see `steepest.algorithms.fields`. Its methods are `MakeNetworks`."""

    policy: Literal["network", "linear", "tabular"] = "network"
    hidden: tuple[int, ...] = (64, 64)
    activation: ActivationName = "tanh"
    encoder: str = "auto"
    channels: Literal["auto", "first", "last"] = "auto"
    memory: Literal["none", "gru", "lstm"] = "none"
    memory_size: int = 64
    gaussian: GaussianKind = "gaussian"
    log_std: float = 0.0
    uniform_share: float = 0.0
    action_value: Literal["network", "compatible"] = "network"
    critics: int = 1

    def policy_alone(self, key: Key[Array, ""], spec: Spec) -> Networks:
        """A policy, and no critic."""
        if self.memory != "none":
            for_trunk, for_policy = jax.random.split(key)
            head = make_head(spec.action, **self._head)
            return Networks(RecurrentPolicy.initial(for_policy, self._trunk(for_trunk, spec), head))
        if self.policy == "tabular":
            return Networks(TabularPolicy.initial(spec, uniform_share=self.uniform_share))
        return Networks(network_policy(key, spec, **self._layers_of_policy, **self._head))

    def without_critic(self, key: Key[Array, ""], spec: Spec) -> Networks:
        """The policy that `separate` draws with the same key, and no critic."""
        return self.policy_alone(jax.random.split(key)[0], spec)

    def separate(self, key: Key[Array, ""], spec: Spec) -> Networks:
        """A policy, and a state-value critic with a network of its own."""
        for_policy, for_critic = jax.random.split(key)
        return Networks(self.policy_alone(for_policy, spec).policy, self._state_value(for_critic, spec))

    def shared(self, key: Key[Array, ""], spec: Spec) -> Networks:
        """A policy and a state value as two heads of one network; its trunk is empty where the policy is linear."""
        if self.memory != "none":
            for_trunk, for_heads = jax.random.split(key)
            head = make_head(spec.action, **self._head)
            return Networks(RecurrentSharedNetwork.initial(for_heads, self._trunk(for_trunk, spec), head))
        return Networks(SharedNetwork.initial(key, spec, **self._layers_of_policy, **self._head))

    def with_action_values(self, key: Key[Array, ""], spec: Spec) -> Networks:
        """A policy, and `critics` critics of actions; tables where the policy is one."""
        for_policy, *for_critics = jax.random.split(key, 1 + self.critics)
        policy = self.policy_alone(for_policy, spec).policy
        return Networks(policy, tuple(self._action_value(each, spec, policy) for each in for_critics))

    def policy_size(self, spec: Spec) -> int:
        """How many parameters the policy has."""
        policy = jax.eval_shape(lambda key: self.policy_alone(key, spec).policy, jax.random.key(0))
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(policy))

    @property
    def _layers(self) -> dict:
        return {"hidden": self.hidden, "activation": self.activation, "encoding": Encoding(self.encoder, self.channels)}

    @property
    def _layers_of_policy(self) -> dict:
        """Those of the policy, which may be linear in the observation."""
        return self._layers | ({"hidden": (), "encoding": Encoding("mlp")} if self.policy == "linear" else {})

    @property
    def _head(self) -> dict:
        return {"gaussian": self.gaussian, "log_std": self.log_std, "uniform_share": self.uniform_share}

    def _state_value(self, key: Key[Array, ""], spec: Spec) -> AbstractStateValue:
        if self.memory == "none":
            return StateValue.initial(key, spec, **self._layers)
        for_trunk, for_value = jax.random.split(key)
        return RecurrentValue.initial(for_value, self._trunk(for_trunk, spec))

    def _trunk(self, key: Key[Array, ""], spec: Spec) -> RecurrentTrunk:
        assert self.memory != "none"
        described = {"hidden": self.hidden, "activation": self.activation, "size": self.memory_size}
        encoder = Encoding(self.encoder, self.channels).initial(key, spec)
        return RecurrentTrunk.initial(key, encoder, memory=self.memory, **described)

    def _action_value(self, key: Key[Array, ""], spec: Spec, policy: AbstractPolicy) -> AbstractActionValue:
        if isinstance(policy, TabularPolicy):
            return TabularActionValue(jnp.zeros_like(policy.logits))
        if self.action_value == "compatible":
            return CompatibleActionValue.initial(key, spec, policy, **self._layers)
        return ActionValue.initial(key, spec, **self._layers)


def architecture(**described: object) -> Architecture:
    """The `Architecture` with these fields: the same object each time, where they are numbers and names.

    Algorithms hold its methods, equal only if of one object; and JAX keeps a compiled program for an equal algorithm.
    """
    try:
        return _kept(**described)
    except TypeError:  # a field is an array
        return Architecture(**described)  # pyright: ignore[reportArgumentType]  types are those of the fields


_kept = functools.lru_cache(maxsize=256, typed=True)(Architecture)
