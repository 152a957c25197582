"""Action-value critics, and their off-policy regression targets (C4)."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from steepest.core.distributions import Categorical
from steepest.core.errors import InputError
from steepest.core.interfaces import Policy
from steepest.core.spaces import Box, Discrete, Leaf, MaskedObservation, Space, Spec, map_leaves
from steepest.core.types import AnyArray, PyTree
from steepest.networks import AUTO, AbstractEncoder, ActivationName, Dense, Encoding, feature_count, features


class AbstractActionValue(eqx.Module):
    """An action-value function $Q(s,a)$, in the unit of return."""

    @abc.abstractmethod
    def __call__(self, obs: PyTree, action: PyTree) -> Float[Array, "*batch"]:
        """The value of one action, [*batch, …], in each observation, [*batch, …]."""

    @abc.abstractmethod
    def values(self, obs: PyTree) -> Float[Array, "*batch A"]:
        """The value of every action in each observation. **Raises** `InputError` unless actions are discrete."""

    def with_policy(self, policy: Policy) -> "AbstractActionValue":
        """The critic as it is once the policy has moved; another one only where its features are the policy's."""
        return self


class ActionValue(AbstractActionValue):
    r"""An action-value network $Q_\phi(s,a)$: an encoder of the observation, and dense layers.

    Discrete actions have one output each. Any other action is an input beside the observation: choices one-hot, real
    numbers scaled so that their bounds are ±1, or unscaled where a bound is not finite. Nothing is clipped, so
    $\nabla_a Q$ does not vanish beyond the bounds.
    """

    encoder: AbstractEncoder
    network: Dense
    action: Space = eqx.field(static=True)

    @classmethod
    def initial(
        cls,
        key: Key[Array, ""],
        spec: Spec,
        *,
        hidden: tuple[int, ...] = (64, 64),
        activation: ActivationName = "tanh",
        encoding: Encoding = AUTO,
    ) -> "ActionValue":
        """Draw a critic for the observations and actions of `spec`.

        >>> spec = Spec(observation=Box(-1, 1, (4,)), action=Discrete(2), num_envs=1, total_updates=1)
        >>> critic = ActionValue.initial(jax.random.key(0), spec)
        >>> critic.values(jnp.zeros((3, 4))).shape, critic(jnp.zeros((3, 4)), jnp.array([0, 1, 1])).shape
        ((3, 2), (3,))
        """
        encoder = encoding.initial(key, spec)
        inputs = encoder.size
        if isinstance(spec.action, Discrete):
            sizes = (inputs, *hidden, spec.action.n)
        else:
            sizes = (inputs + feature_count(spec.action), *hidden, 1)
        network = Dense.initial(key, sizes, activation=activation, output_scale=1.0)
        return cls(encoder, network, spec.action)

    def __call__(self, obs: PyTree, action: PyTree) -> Float[Array, "*batch"]:
        if isinstance(self.action, Discrete):
            return _taken(self.values(obs), action)
        parts = jax.tree.leaves(map_leaves(_scaled, self.action, action))
        numbers = parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)
        both = [each.astype(self.network.weights[0].dtype) for each in (self.encoder(obs), numbers)]
        return self.network(jnp.concatenate(both, axis=-1))[..., 0]

    def values(self, obs: PyTree) -> Float[Array, "*batch A"]:
        if not isinstance(self.action, Discrete):
            raise InputError(
                f"values: the action space is {self.action}, whose actions are not numbered. Ask for one action: "
                "critic(obs, action)."
            )
        return self.network(self.encoder(obs))


class TabularActionValue(AbstractActionValue):
    """A table of action values, one for each pair of a discrete observation and a discrete action."""

    table: Float[Array, "S A"]

    def __call__(self, obs: PyTree, action: Int[AnyArray, "*batch"]) -> Float[Array, "*batch"]:
        return _taken(self.values(obs), action)

    def values(self, obs: PyTree) -> Float[Array, "*batch A"]:
        return self.table[obs.observation if isinstance(obs, MaskedObservation) else obs]


def expected_target(
    key: Key[Array, ""],
    critic: AbstractActionValue,
    policy: Policy,
    reward: Float[AnyArray, "*batch"],
    next_obs: PyTree,
    terminated: Bool[AnyArray, "*batch"],
    *,
    discount: float | Float[Array, "*#batch"],
    sampled: bool = False,
) -> Float[Array, "*batch"]:
    r"""The regression target of $Q^\pi$ for each transition, from any behaviour policy (expected Sarsa).

    $$y = r + \gamma\,(1-\mathrm{terminated})\,E_{a'\sim\pi(\cdot|s')}\big[\bar Q(s',a')\big]$$

    The next action is drawn from π; with the next action of the data the fit would give the $Q$ of the behaviour
    policy. With a `Categorical` policy the expectation is the sum $\sum_{a'}\pi(a'|s')\,\bar Q(s',a')$; with
    any other, and on request, one $a'$ is drawn, which gives an unbiased estimate.

    Truncation does not enter: the successor of a truncated step is bootstrapped from.

    **Arguments**

    - `key`: draws $a'$; unused where the expectation is taken.
    - `critic`: $\bar Q$, usually a target network.
    - `policy`: $\pi$, from observations to distributions.
    - `reward`: $r$, in the environment's unit.
    - `next_obs`: $s'$, the true successor, [*batch, …].
    - `terminated`: whether $s'$ is absorbing.
    - `discount`: $\gamma \in [0, 1]$, per step; or of each row, where $r$ gathers several steps.
    - `sampled`: draw $a'$ also where the expectation has a closed form.

    **Returns** $y$, in the unit of return. It is a constant: no gradient flows through it.

    **Example**

    >>> critic, uniform = TabularActionValue(jnp.array([[2.0, 4.0]])), lambda obs: Categorical(jnp.zeros((1, 2)))
    >>> first = jnp.array([0])
    >>> expected_target(jax.random.key(0), critic, uniform, jnp.ones(1), first, jnp.array([False]), discount=0.5)
    Array([2.5], dtype=float32)

    **Reference** van Seijen et al., *A Theoretical and Empirical Analysis of Expected Sarsa*, 2009; with a drawn
    action, Degris et al., *Off-Policy Actor-Critic*, 2012.
    """
    distribution = policy(next_obs)
    if isinstance(distribution, Categorical) and not sampled:
        next_value = jnp.sum(jax.nn.softmax(distribution.logits) * critic.values(next_obs), axis=-1)
    else:
        next_value = critic(next_obs, distribution.squash(distribution.sample(key)))
    return _target(reward, terminated, discount, next_value)


def deterministic_target(
    critic: AbstractActionValue,
    policy: Policy,
    reward: Float[AnyArray, "*batch"],
    next_obs: PyTree,
    terminated: Bool[AnyArray, "*batch"],
    *,
    discount: float | Float[Array, "*#batch"],
) -> Float[Array, "*batch"]:
    r"""The regression target of $Q^\mu$ for a deterministic policy: $y = r + \gamma\,(1-\mathrm{terminated})\,
    \bar Q(s', \bar\mu(s'))$.

    The arguments are those of `expected_target`; $\bar\mu$ is the mode of the policy. No gradient flows through $y$,
    neither into the critic nor into the policy.

    **Example**

    >>> critic, greedy = TabularActionValue(jnp.array([[2.0, 4.0]])), lambda obs: Categorical(jnp.array([[0.0, 1.0]]))
    >>> deterministic_target(critic, greedy, jnp.ones(1), jnp.array([0]), jnp.array([False]), discount=0.5)
    Array([3.], dtype=float32)

    **Reference** Lillicrap et al., *Continuous control with deep reinforcement learning*, 2016, algorithm 1.
    """
    distribution = policy(next_obs)
    return _target(reward, terminated, discount, critic(next_obs, distribution.squash(distribution.mode())))


def _target(
    reward: Float[AnyArray, "*batch"],
    terminated: Bool[AnyArray, "*batch"],
    discount: float | Float[Array, "*#batch"],
    next_value: Float[Array, "*batch"],
) -> Float[Array, "*batch"]:
    reward = jnp.asarray(reward)
    keeps = 1 - jnp.asarray(terminated).astype(reward.dtype)
    return jax.lax.stop_gradient(reward + discount * keeps * next_value)


def _taken(values: Float[Array, "*batch A"], action: Int[AnyArray, "*batch"]) -> Float[Array, "*batch"]:
    """The value of the action taken: a comparison in place of a gather, whose gradient would be a scatter."""
    numbered = jax.lax.broadcasted_iota(jnp.int32, values.shape, values.ndim - 1)
    return jnp.sum(jnp.where(action[..., None] == numbered, values, 0), axis=-1)


def _scaled(space: Leaf, action: AnyArray) -> Float[Array, "*batch F"]:
    """An action as inputs of a network: choices one-hot, real numbers scaled so that their bounds are ±1."""
    numbers = features(space, action)
    if not isinstance(space, Box):
        return numbers
    low, high = (jnp.asarray(bound, numbers.dtype) for bound in _scaling_bounds(space))
    along = (1,) * (numbers.ndim - 1) + low.shape
    return (2 * numbers - (low + high).reshape(along)) / (high - low).reshape(along)


def _scaling_bounds(space: Box) -> tuple[np.ndarray, np.ndarray]:
    """The values scaled to −1 and to 1, of every coordinate laid flat: −1 and 1 where a bound is not finite."""
    low, high = (bound.reshape(-1) for bound in (space.low, space.high))
    finite = np.isfinite(low) & np.isfinite(high)
    return np.where(finite, low, -1), np.where(finite, high, 1)
