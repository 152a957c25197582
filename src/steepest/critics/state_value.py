"""State-value critics, and the regression problems that fit them (C1–C3)."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from steepest.core.histories import Histories, sequence_rows, streams_of, take_rows
from steepest.core.problem import AbstractMaximisation, Info, weighted_mean
from steepest.core.spaces import Spec
from steepest.core.types import PyTree
from steepest.core.validation import check_number
from steepest.networks import AUTO, AbstractEncoder, ActivationName, Dense, Encoding

Critic = Callable[..., Array]
"""$V_\\phi(s)$ or $Q_\\phi(s,a)$ as a function of observations, or of observations and actions."""


class AbstractStateValue(eqx.Module):
    """A state-value function $V_\\phi(s)$, in the unit of return: a module whose array leaves are the parameters."""

    @abc.abstractmethod
    def __call__(self, obs: PyTree) -> Float[Array, "*batch"]:
        """The value of each observation; leading axes of `obs` are batch axes."""

    def initial_carry(self, num_streams: int) -> PyTree:
        """The memory at the start of an episode, with a leading axis of streams. It must not depend on array leaves."""
        return ()

    def remember(self, carry: PyTree, obs: PyTree) -> PyTree:
        """The memory after the next observation of every stream, which acting keeps for the critic."""
        return carry

    def carries(self, rows: Histories) -> PyTree:
        """The memory after every row of a history, [B, …]."""
        return rows.unroll(lambda carry, obs: ((), self.remember(carry, obs)), self.initial_carry(rows.streams))[1]

    def with_successors(self, rows: Histories, next_obs: PyTree) -> tuple[Array, Array]:
        """$V(h_t)$ and $V(h'_t)$ of every row, where the successor is seen with the memory that row t left (C8)."""
        return self(rows), self(rows.successors(next_obs, self.carries(rows)))


class StateValue(AbstractStateValue):
    """A state-value network $V_\\phi(s)$: an encoder and dense layers."""

    encoder: AbstractEncoder
    network: Dense

    @classmethod
    def initial(
        cls,
        key: Key[Array, ""],
        spec: Spec,
        *,
        hidden: tuple[int, ...] = (64, 64),
        activation: ActivationName = "tanh",
        encoding: Encoding = AUTO,
    ) -> "StateValue":
        """Draw a critic for the observations of `spec`."""
        encoder = encoding.initial(key, spec)
        return cls(encoder, Dense.initial(key, (encoder.size, *hidden, 1), activation=activation, output_scale=1.0))

    def __call__(self, obs: PyTree) -> Float[Array, "*batch"]:
        return self.network(self.encoder(obs))[..., 0]


class ValueRegression(AbstractMaximisation[Critic]):
    """Least-squares regression of a critic: maximises $-\\tfrac12\\,\\mathrm{mean}\\,(V_\\phi(s) - y)^2$, or with
    $Q_\\phi(s,a)$.

    The targets $y$ are constants: returns (C1), bootstrapped values (C2, C3), or a target network's value of the next
    action (C4).

    - `inputs`: what the critic is called with: observations, `Histories` of them, or observations and actions.
    - `weight`: 1 for a row that counts, 0 for one that does not, even when its target is NaN.
    """

    inputs: tuple[PyTree, ...]
    target: Float[Array, " B"]
    weight: Float[Array, " B"]

    @property
    def size(self) -> int:
        return self.target.shape[0]

    @property
    def streams(self) -> int | None:
        return streams_of(self.inputs)

    def minibatch(self, indices: Int[Array, " M"]) -> "ValueRegression":
        return take_rows(self, indices)

    def in_sequences(self, parameters: Critic, length: int) -> "ValueRegression":
        rows, *others = self.inputs
        if not isinstance(rows, Histories):
            return self
        order = sequence_rows(rows.length, rows.streams, length)
        return ValueRegression((rows.in_sequences(parameters, length), *others), self.target[order], self.weight[order])

    def evaluate(self, parameters: Critic) -> tuple[Float[Array, ""], Info]:
        error = parameters(*self.inputs) - jax.lax.stop_gradient(self.target)
        # Before the square: the derivative of a square that is thrown away later is still 0 × NaN.
        error = jnp.where(self.weight > 0, error, 0)
        return -0.5 * weighted_mean(jnp.square(error), self.weight), {}


class ClippedRegression(AbstractMaximisation[Critic]):
    r"""Regression with clipped values: $-\tfrac12\,\mathrm{mean}\,\max\bigl((V_\phi - y)^2,\ (V_c - y)^2\bigr)$ with
    $V_c = V_{old} + \mathrm{clip}(V_\phi - V_{old}, \pm\epsilon)$.

    Where the value has moved further than the radius towards its target, the gradient is 0.

    **Arguments**

    - `regression`: without the clipping.
    - `old`: $V_{old}$, the values before the update, in the unit of return.
    - `radius`: $\epsilon > 0$, in that unit.

    **Reference** Schulman et al., the code of *Proximal Policy Optimization Algorithms*, 2017; that it seldom helps:
    Andrychowicz et al., *What Matters in On-Policy Reinforcement Learning?*, 2021.
    """

    regression: ValueRegression
    old: Float[Array, " B"]
    radius: float | Float[Array, ""]

    def __check_init__(self):
        check_number("value clip radius", self.radius, above=0, remedy="0.2 is usual where rewards are scaled.")

    @property
    def size(self) -> int:
        return self.regression.size

    @property
    def streams(self) -> int | None:
        return self.regression.streams

    def minibatch(self, indices: Int[Array, " M"]) -> "ClippedRegression":
        return ClippedRegression(self.regression.minibatch(indices), self.old[indices], self.radius)

    def in_sequences(self, parameters: Critic, length: int) -> "ClippedRegression":
        rows = self.regression.inputs[0]
        if not isinstance(rows, Histories):
            return self
        order = sequence_rows(rows.length, rows.streams, length)
        return ClippedRegression(self.regression.in_sequences(parameters, length), self.old[order], self.radius)

    def evaluate(self, parameters: Critic) -> tuple[Float[Array, ""], Info]:
        inner, old = self.regression, jax.lax.stop_gradient(self.old)
        value, target = parameters(*inner.inputs), jax.lax.stop_gradient(inner.target)
        near = old + jnp.clip(value - old, -self.radius, self.radius)
        # Before the squares, as above.
        errors = [jnp.where(inner.weight > 0, each - target, 0) for each in (value, near)]
        return -0.5 * weighted_mean(jnp.maximum(*map(jnp.square, errors)), inner.weight), {}


class AbstractCriticObjective(eqx.Module):
    """The loss of a state-value critic: makes the regression problem of one update."""

    @abc.abstractmethod
    def problem(
        self,
        obs: PyTree,
        value: Float[Array, " B"],
        target: Float[Array, " B"],
        weight: Float[Array, " B"],
    ) -> AbstractMaximisation[Critic]:
        """The regression to `target`; `value` is the critic's estimate before the update."""


class SquaredError(AbstractCriticObjective):
    """The squared error: `ValueRegression`."""

    def problem(self, obs, value, target, weight) -> ValueRegression:
        return ValueRegression((obs,), target, weight)


class ClippedSquaredError(AbstractCriticObjective):
    """The squared error clipped to a radius around the values before the update: `ClippedRegression`.

    - `radius`: in the unit of (scaled) return.
    """

    radius: float | Float[Array, ""]

    def problem(self, obs, value, target, weight) -> ClippedRegression:
        return ClippedRegression(ValueRegression((obs,), target, weight), value, self.radius)
