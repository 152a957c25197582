"""What a fresh policy and a fresh critic look like."""

import dataclasses
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from steepest.algorithms.hyper_parameters import HyperParameters
from steepest.core.network import ActivationName
from steepest.core.spaces import Spec
from steepest.critics import AbstractActionValue, ActionValue, CompatibleActionValue, StateValue, TabularActionValue
from steepest.policies import GaussianKind, SharedTrunkPolicy, TabularPolicy, network_policy


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The function approximators, as hyper-parameters describe them."""

    policy: Literal["network", "linear", "shared", "tabular"]
    hidden: tuple[int, ...]
    activation: ActivationName
    gaussian: GaussianKind
    log_std: float
    uniform_share: float = 0.0
    action_value: Literal["network", "compatible"] = "network"

    @classmethod
    def of(cls, parameters: HyperParameters) -> "Architecture":
        """Pick out of the hyper-parameters what decides it."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: getattr(parameters, name) for name in names if hasattr(parameters, name)})

    def draw_policy(self, key: Key[Array, ""], spec: Spec) -> Any:
        """A fresh policy."""
        if self.policy == "tabular":
            return TabularPolicy.initial(spec, uniform_share=self.uniform_share)
        make = SharedTrunkPolicy.initial if self.policy == "shared" else network_policy
        return make(
            key,
            spec,
            hidden=() if self.policy == "linear" else self.hidden,
            activation=self.activation,
            gaussian=self.gaussian,
            log_std=self.log_std,
            uniform_share=self.uniform_share,
        )

    def policy_size(self, spec: Spec) -> int:
        """How many parameters the policy has."""
        policy = jax.eval_shape(lambda key: self.draw_policy(key, spec), jax.random.key(0))
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(policy))

    def draw_critic(self, key: Key[Array, ""], spec: Spec) -> StateValue:
        """A fresh critic."""
        return StateValue.initial(key, spec, hidden=self.hidden, activation=self.activation)

    def draw_action_value(self, key: Key[Array, ""], spec: Spec, policy: Any) -> AbstractActionValue:
        """A fresh critic of actions; a table where the policy is one."""
        if isinstance(policy, TabularPolicy):
            return TabularActionValue(jnp.zeros(policy.logits.shape))
        options = {"hidden": self.hidden, "activation": self.activation}
        if self.action_value == "compatible":
            return CompatibleActionValue.initial(key, spec, policy, **options)
        return ActionValue.initial(key, spec, **options)
