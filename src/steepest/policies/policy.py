"""Policies: from an observation to a distribution over actions."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.distributions import AbstractDistribution, Categorical
from steepest.core.errors import InputError
from steepest.core.network import ActivationName, Network, feature_count, features
from steepest.core.spaces import Discrete, Space, Spec
from steepest.core.types import AnyArray
from steepest.policies.heads import AbstractHead, CategoricalHead, GaussianKind, make_head


class NetworkPolicy(eqx.Module):
    """A dense network and a head. With no hidden layers it is the linear policy.

    Leading axes of an observation are batch axes, and so they are of the distribution.
    """

    network: Network
    head: AbstractHead
    observation: Space = eqx.field(static=True)

    def __call__(self, obs: AnyArray) -> AbstractDistribution:
        """$\\pi_\\theta(\\cdot|s)$."""
        return self.head(self.network(features(self.observation, obs)))


class TabularPolicy(eqx.Module):
    """A logit for each pair of a discrete observation and a discrete action.

    **Arguments**

    - `uniform_share`: so often the choice is uniform, whatever the logits.
    """

    logits: Float[Array, "S A"]
    uniform_share: float = eqx.field(static=True, default=0.0)

    @classmethod
    def initial(cls, spec: Spec, *, uniform_share: float = 0.0) -> "TabularPolicy":
        """The uniform policy. **Raises** `InputError` unless both spaces are discrete."""
        if not (isinstance(spec.observation, Discrete) and isinstance(spec.action, Discrete)):
            raise InputError(
                f"policy is 'tabular'; it needs a discrete observation and action, not {spec.observation} and "
                f"{spec.action}. Use 'network'."
            )
        return cls(jnp.zeros((spec.observation.n, spec.action.n), jnp.float32), uniform_share)

    def __call__(self, obs: AnyArray) -> Categorical:
        """$\\pi_\\theta(\\cdot|s)$: the softmax of the state's row."""
        return CategoricalHead(self.logits.shape[1], self.uniform_share)(self.logits[obs])


class SharedTrunkPolicy(eqx.Module):
    """One network with two heads: the numbers of the policy, and the value as the last output (C5).

    What the policy learns about the observation serves the value, and the other way round; so does what disturbs.
    """

    network: Network
    head: AbstractHead
    observation: Space = eqx.field(static=True)

    @classmethod
    def initial(cls, key: Key[Array, ""], spec: Spec, **options) -> "SharedTrunkPolicy":
        """Draw one; the options are those of `network_policy`. The value's output starts at scale 1."""
        for_policy, for_value = jax.random.split(key)
        alone = network_policy(for_policy, spec, **options)
        *weights, last = alone.network.weights
        *biases, bias = alone.network.biases
        column = jax.nn.initializers.orthogonal(1.0)(for_value, (last.shape[0], 1), last.dtype)
        network = Network(
            (*weights, jnp.concatenate([last, column], axis=1)),
            (*biases, jnp.concatenate([bias, jnp.zeros(1, bias.dtype)])),
            alone.network.activation,
        )
        return cls(network, alone.head, spec.observation)

    def both(self, obs: AnyArray) -> tuple[AbstractDistribution, Float[Array, "*batch"]]:
        """$\\pi_\\theta(\\cdot|s)$ and $V_\\theta(s)$ from one pass."""
        outputs = self.network(features(self.observation, obs))
        return self.head(outputs[..., :-1]), outputs[..., -1]

    def __call__(self, obs: AnyArray) -> AbstractDistribution:
        """$\\pi_\\theta(\\cdot|s)$."""
        return self.both(obs)[0]

    def value(self, obs: AnyArray) -> Float[Array, "*batch"]:
        """$V_\\theta(s)$, in the unit of return."""
        return self.both(obs)[1]


def network_policy(
    key: Key[Array, ""],
    spec: Spec,
    *,
    hidden: tuple[int, ...] = (64, 64),
    activation: ActivationName = "tanh",
    output_scale: float = 0.01,
    gaussian: GaussianKind = "gaussian",
    log_std: float = 0.0,
    uniform_share: float = 0.0,
) -> NetworkPolicy:
    """A fresh policy for the spaces of `spec`; `hidden=()` gives the linear policy.

    >>> from steepest.core.spaces import Box, Discrete
    >>> spec = Spec(observation=Box(-1, 1, (4,)), action=Discrete(2), num_envs=1, total_updates=1)
    >>> network_policy(jax.random.key(0), spec)(jnp.zeros((3, 4))).logits.shape
    (3, 2)
    """
    head = make_head(spec.action, gaussian=gaussian, log_std=log_std, uniform_share=uniform_share)
    sizes = (feature_count(spec.observation), *hidden, head.inputs)
    network = Network.initial(key, sizes, activation=activation, output_scale=output_scale)
    return NetworkPolicy(network, head, spec.observation)
