"""The critic whose features are the policy's own slopes (G15)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.errors import InputError
from steepest.core.interfaces import Policy
from steepest.core.spaces import Spec
from steepest.core.types import PyTree
from steepest.critics.action_value import AbstractActionValue
from steepest.critics.state_value import StateValue
from steepest.networks import AUTO, ActivationName, Encoding


class CompatibleActionValue(AbstractActionValue):
    r"""$Q(s,a) = (a - \mu_\theta(s))^\top\,\nabla_\theta\mu(s)^\top w + V(s)$, with $\mu$ the mode of the policy.

    Its slope $\nabla_a Q = \nabla_\theta\mu^\top w$ is what a policy's gradient asks for: with the $w$ that fits best,
    the deterministic policy gradient is exact, though $Q$ is not.

    - `weights`: $w$, shaped like the parameters of the policy.
    - `value`: $V$, what the policy's own action is worth.
    - `policy`: the policy whose slopes are the features; held constant. `with_policy` puts another in its place.

    **Reference** Silver et al., *Deterministic Policy Gradient Algorithms*, 2014, theorem 3.
    """

    weights: PyTree
    value: StateValue
    policy: Policy

    @classmethod
    def initial(
        cls,
        key: Key[Array, ""],
        spec: Spec,
        policy: Policy,
        *,
        hidden: tuple[int, ...] = (64, 64),
        activation: ActivationName = "tanh",
        encoding: Encoding = AUTO,
    ) -> "CompatibleActionValue":
        """Draw a critic with $w = 0$ and a new V; the options are those of `StateValue.initial`."""
        value = StateValue.initial(key, spec, hidden=hidden, activation=activation, encoding=encoding)
        return cls(jax.tree.map(jnp.zeros_like, policy), value, policy)

    def __call__(self, obs: PyTree, action: PyTree) -> Float[Array, "*batch"]:
        policy = jax.lax.stop_gradient(self.policy)

        def best_guess(each: Policy) -> Array:
            distribution = each(obs)
            return distribution.squash(distribution.mode())

        mode, slope = jax.jvp(best_guess, (policy,), (self.weights,))
        return jnp.sum((action - mode) * slope, axis=-1) + self.value(obs)

    def values(self, obs: PyTree) -> Float[Array, "*batch A"]:
        raise InputError("values: a compatible critic judges continuous actions. Ask for one: critic(obs, action).")

    def with_policy(self, policy: Policy) -> "CompatibleActionValue":
        return eqx.tree_at(lambda each: each.policy, self, policy)
