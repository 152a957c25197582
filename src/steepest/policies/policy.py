"""Policies: from an observation to a distribution over actions."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.distributions import AbstractDistribution
from steepest.core.errors import InputError
from steepest.core.histories import Histories
from steepest.core.spaces import Discrete, Masked, MaskedObservation, Spec
from steepest.core.types import PyTree
from steepest.networks import AUTO, AbstractEncoder, AbstractHead, ActivationName, CategoricalHead, Dense, Encoding
from steepest.networks.heads import GaussianKind, make_head


class AbstractPolicy(eqx.Module):
    """$\\pi_\\theta(\\cdot|s)$: a module whose array leaves are the parameters.

    A policy with memory overrides `initial_carry` and `step`, and updates call it with `Histories`, whose `unroll`
    makes the distributions of all rows of a `step`; `RecurrentPolicy` is one. Without memory the carry is empty, and
    costs nothing.
    """

    @abc.abstractmethod
    def __call__(self, obs: PyTree) -> AbstractDistribution:
        """The distribution over actions in each observation; leading axes of `obs` are batch axes."""

    def initial_carry(self, num_streams: int) -> PyTree:
        """The memory at the start of an episode, with a leading axis of streams. It must not depend on array leaves."""
        return ()

    def step(self, carry: PyTree, obs: PyTree) -> tuple[AbstractDistribution, PyTree]:
        """The distributions for the next observation of every stream, and the memory after it."""
        return self(obs), carry

    def carries(self, rows: Histories) -> PyTree:
        """The memory after every row of a history, [B, …]."""
        return rows.unroll(self.step, self.initial_carry(rows.streams))[1]


class AbstractPolicyWithValue(AbstractPolicy):
    """A policy and a state value that share parameters (C5)."""

    @abc.abstractmethod
    def both(self, obs: PyTree) -> tuple[AbstractDistribution, Float[Array, "*batch"]]:
        """$\\pi_\\theta(\\cdot|s)$ and $V_\\theta(s)$ from one pass."""

    def __call__(self, obs: PyTree) -> AbstractDistribution:
        return self.both(obs)[0]

    def value(self, obs: PyTree) -> Float[Array, "*batch"]:
        """$V_\\theta(s)$, in the unit of return."""
        return self.both(obs)[1]

    def value_with_successors(self, rows: Histories, next_obs: PyTree) -> tuple[Array, Array]:
        """$V(h_t)$ and $V(h'_t)$ of every row, where the successor is seen with the memory that row t left (C8)."""
        return self.value(rows), self.value(rows.successors(next_obs, self.carries(rows)))


class NetworkPolicy(AbstractPolicy):
    """An encoder, dense layers and a head. With no hidden layers it is the linear policy."""

    encoder: AbstractEncoder
    network: Dense
    head: AbstractHead

    def __call__(self, obs: PyTree) -> AbstractDistribution:
        return self.head.in_place(self.network(self.encoder(obs)), obs)


class SharedNetwork(AbstractPolicyWithValue):
    """One trunk with two heads, the policy's and the value's (C5).

    What the policy learns about the observation serves the value, and the other way round; so does what disturbs.

    - `trunk`: the hidden layers.
    - `policy_output`, `value_output`: a linear layer each, on what the trunk computes.
    """

    encoder: AbstractEncoder
    trunk: Dense
    policy_output: Dense
    value_output: Dense
    head: AbstractHead

    @classmethod
    def initial(
        cls,
        key: Key[Array, ""],
        spec: Spec,
        *,
        hidden: tuple[int, ...] = (64, 64),
        activation: ActivationName = "tanh",
        output_scale: float = 0.01,
        gaussian: GaussianKind = "gaussian",
        log_std: float = 0.0,
        uniform_share: float = 0.0,
        encoding: Encoding = AUTO,
    ) -> "SharedNetwork":
        """Draw one. The policy's layer starts small, so that the policy is near uniform, and the value's at scale 1."""
        for_trunk, for_policy, for_value = jax.random.split(key, 3)
        encoder = encoding.initial(for_trunk, spec)
        head = make_head(spec.action, gaussian=gaussian, log_std=log_std, uniform_share=uniform_share)
        sizes = (encoder.size, *hidden)
        return cls(
            encoder,
            Dense.initial(for_trunk, sizes, activation=activation, output_scale=2**0.5, activate_output=True),
            Dense.initial(for_policy, (sizes[-1], head.inputs), activation=activation, output_scale=output_scale),
            Dense.initial(for_value, (sizes[-1], 1), activation=activation, output_scale=1.0),
            head,
        )

    def both(self, obs: PyTree) -> tuple[AbstractDistribution, Float[Array, "*batch"]]:
        hidden = self.trunk(self.encoder(obs))
        return self.head.in_place(self.policy_output(hidden), obs), self.value_output(hidden)[..., 0]


class TabularPolicy(AbstractPolicy):
    """A logit for each pair of a discrete observation and a discrete action.

    **Arguments**

    - `uniform_share`: ε, the share of uniform choices that is mixed in, whatever the logits.
    """

    logits: Float[Array, "S A"]
    uniform_share: float = eqx.field(static=True, default=0.0)

    @classmethod
    def initial(cls, spec: Spec, *, uniform_share: float = 0.0) -> "TabularPolicy":
        """The uniform policy. **Raises** `InputError` unless both spaces are discrete."""
        observation = spec.observation.observation if isinstance(spec.observation, Masked) else spec.observation
        if not (isinstance(observation, Discrete) and isinstance(spec.action, Discrete)):
            raise InputError(
                f"policy is 'tabular'; it needs a discrete observation and action, not {spec.observation} and "
                f"{spec.action}. Use 'network'."
            )
        return cls(jnp.zeros((observation.n, spec.action.n), jnp.float32), uniform_share)

    def __call__(self, obs: PyTree) -> AbstractDistribution:
        state = obs.observation if isinstance(obs, MaskedObservation) else obs
        return CategoricalHead(self.logits.shape[1], self.uniform_share).in_place(self.logits[state], obs)


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
    encoding: Encoding = AUTO,
) -> NetworkPolicy:
    """A fresh network policy for the spaces of `spec`; `hidden=()` gives the linear policy.

    >>> from steepest.core.spaces import Box, Discrete
    >>> spec = Spec(observation=Box(-1, 1, (4,)), action=Discrete(2), num_envs=1, total_updates=1)
    >>> network_policy(jax.random.key(0), spec)(jnp.zeros((3, 4))).logits.shape
    (3, 2)
    """
    encoder = encoding.initial(key, spec)
    head = make_head(spec.action, gaussian=gaussian, log_std=log_std, uniform_share=uniform_share)
    sizes = (encoder.size, *hidden, head.inputs)
    return NetworkPolicy(encoder, Dense.initial(key, sizes, activation=activation, output_scale=output_scale), head)
