"""Memory: what a network carries from one observation of an episode to the next."""

import abc
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.histories import Histories
from steepest.core.types import PyTree
from steepest.networks.dense import ActivationName, Dense
from steepest.networks.encoders import AbstractEncoder

MemoryName = Literal["gru", "lstm"]


class AbstractMemory(eqx.Module):
    """A recurrent cell. Array leaves are parameters.

    What does not depend on the memory is `projected` first, for all rows in one matrix product, so that only the rest
    is computed step by step.
    """

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """How many features it remembers, and puts out."""

    @abc.abstractmethod
    def initial_carry(self, batch: tuple[int, ...]) -> PyTree:
        """The memory at the start of an episode: zeros, with these leading axes, in the precision of the weights."""

    @abc.abstractmethod
    def projected(self, features: Float[Array, "*batch F"]) -> Float[Array, "*batch G"]:
        """What the features bring to the gates."""

    @abc.abstractmethod
    def advance(self, carry: PyTree, projected: Float[Array, "*batch G"]) -> PyTree:
        """The memory after one more step."""

    @abc.abstractmethod
    def output(self, carry: PyTree) -> Float[Array, "*batch H"]:
        """What the network goes on with."""


class GRU(AbstractMemory):
    r"""A gated recurrent unit: $h' = (1 - z) \odot n + z \odot h$ with

    $$r = \sigma(W_r x + U_r h + b_r), \quad z = \sigma(W_z x + U_z h + b_z), \quad
      n = \tanh(W_n x + b_n + r \odot (U_n h + c)).$$

    **Reference** Cho et al., *Learning Phrase Representations using RNN Encoder–Decoder*, 2014; the reset gate after
    the product, as in cuDNN.
    """

    input: Dense
    weight: Float[Array, "H gates"]
    candidate_bias: Float[Array, " H"]

    @classmethod
    def initial(cls, key: Key[Array, ""], inputs: int, size: int) -> "GRU":
        """Draw one: orthogonal weights for each gate, biases of 0."""
        for_input, for_memory = jax.random.split(key)
        bias = jnp.zeros(3 * size, jnp.float32)
        own = _gates(for_memory, size, size, 3), jnp.zeros(size, jnp.float32)
        return cls(_linear(_gates(for_input, inputs, size, 3), bias), *own)

    @property
    def size(self) -> int:
        return self.weight.shape[0]

    def initial_carry(self, batch: tuple[int, ...]) -> Float[Array, "*batch H"]:
        return jnp.zeros((*batch, self.size), self.weight.dtype)

    def projected(self, features: Float[Array, "*batch F"]) -> Float[Array, "*batch G"]:
        return self.input(features)

    def advance(self, carry: Float[Array, "*batch H"], projected: Float[Array, "*batch G"]) -> Float[Array, "*batch H"]:
        size = self.size
        remembered, bias = carry @ self.weight, jnp.broadcast_to(self.candidate_bias, carry.shape)
        gates = jax.nn.sigmoid(projected[..., : 2 * size] + remembered[..., : 2 * size])
        reset, keep = gates[..., :size], gates[..., size:]
        candidate = jnp.tanh(projected[..., 2 * size :] + reset * (remembered[..., 2 * size :] + bias))
        return candidate + keep * (carry - candidate)

    def output(self, carry: Float[Array, "*batch H"]) -> Float[Array, "*batch H"]:
        return carry


class LSTM(AbstractMemory):
    r"""Long short-term memory: $c' = f \odot c + i \odot g$ and $h' = o \odot \tanh(c')$, where $i$, $f$, $o$ are
    $\sigma$ and $g$ is $\tanh$ of $W x + U h + b$. The carry is $(h, c)$.

    **Reference** Hochreiter and Schmidhuber, *Long Short-Term Memory*, 1997; the forget gate: Gers et al., 2000, whose
    bias begins at 1 (Jozefowicz et al., *An Empirical Exploration of Recurrent Network Architectures*, 2015).
    """

    input: Dense
    weight: Float[Array, "H gates"]

    @classmethod
    def initial(cls, key: Key[Array, ""], inputs: int, size: int) -> "LSTM":
        """Draw one: orthogonal weights for each gate, biases of 0, and of 1 for forgetting."""
        for_input, for_memory = jax.random.split(key)
        bias = jnp.zeros(4 * size, jnp.float32).at[size : 2 * size].set(1)
        return cls(_linear(_gates(for_input, inputs, size, 4), bias), _gates(for_memory, size, size, 4))

    @property
    def size(self) -> int:
        return self.weight.shape[0]

    def initial_carry(self, batch: tuple[int, ...]) -> tuple[Array, Array]:
        zeros = jnp.zeros((*batch, self.size), self.weight.dtype)
        return zeros, zeros

    def projected(self, features: Float[Array, "*batch F"]) -> Float[Array, "*batch G"]:
        return self.input(features)

    def advance(self, carry: tuple[Array, Array], projected: Float[Array, "*batch G"]) -> tuple[Array, Array]:
        hidden, cell = carry
        enter, forget, new, leave = jnp.split(projected + hidden @ self.weight, 4, axis=-1)
        cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(enter) * jnp.tanh(new)
        return jax.nn.sigmoid(leave) * jnp.tanh(cell), cell

    def output(self, carry: tuple[Array, Array]) -> Float[Array, "*batch H"]:
        return carry[0]


class RecurrentTrunk(eqx.Module):
    """An encoder, dense layers and a memory: from the observations of a history to features."""

    encoder: AbstractEncoder
    layers: Dense
    memory: AbstractMemory

    @classmethod
    def initial(
        cls,
        key: Key[Array, ""],
        encoder: AbstractEncoder,
        *,
        hidden: tuple[int, ...],
        activation: ActivationName,
        memory: MemoryName,
        size: int,
    ) -> "RecurrentTrunk":
        """Draw the layers and the memory behind an encoder."""
        for_layers, for_memory = jax.random.split(key)
        sizes = (encoder.size, *hidden)
        layers = Dense.initial(for_layers, sizes, activation=activation, output_scale=2**0.5, activate_output=True)
        kind = {"gru": GRU, "lstm": LSTM}[memory]
        return cls(encoder, layers, kind.initial(for_memory, sizes[-1], size))

    @property
    def size(self) -> int:
        """How many features there are."""
        return self.memory.size

    def initial_carry(self, num_streams: int) -> PyTree:
        """The memory at the start of an episode."""
        return self.memory.initial_carry((num_streams,))

    def __call__(self, obs: PyTree) -> Float[Array, "*batch H"]:
        """The features of every row of `Histories`; a bare observation is taken for the first of an episode."""
        if isinstance(obs, Histories):
            return self.unroll(obs)[0]
        projected = self._projected(obs)
        return self.memory.output(self.memory.advance(self.memory.initial_carry(projected.shape[:-1]), projected))

    def step(self, carry: PyTree, obs: PyTree) -> tuple[Float[Array, "N H"], PyTree]:
        """The features of the next observation of every stream, and the memory after it."""
        carry = self.memory.advance(carry, self._projected(obs))
        return self.memory.output(carry), carry

    def unroll(self, rows: Histories) -> tuple[Float[Array, "B H"], PyTree]:
        """The features of every row, and the memory after it."""

        def step(carry: PyTree, projected: Array) -> tuple[tuple[()], PyTree]:
            return (), self.memory.advance(carry, projected)

        projected = Histories(self._projected(rows.obs), rows.begins, rows.carry)
        _, carries = projected.unroll(step, self.initial_carry(rows.streams))
        return self.memory.output(carries), carries

    def with_successors(self, rows: Histories, next_obs: PyTree) -> tuple[Float[Array, "B H"], Float[Array, "B H"]]:
        """The features of every row, and of its successor, seen with the memory that the row left.

        At the end of an episode that is the memory of that moment, and not the one that the next episode begins with.
        """
        features, carries = self.unroll(rows)
        return features, self.step(carries, next_obs)[0]

    def _projected(self, obs: PyTree) -> Float[Array, "*batch G"]:
        return self.memory.projected(self.layers(self.encoder(obs)))


def _gates(key: Key[Array, ""], inputs: int, size: int, count: int) -> Float[Array, "inputs gates"]:
    draw = jax.nn.initializers.orthogonal()
    return jnp.concatenate([draw(each, (inputs, size), jnp.float32) for each in jax.random.split(key, count)], axis=1)


def _linear(weight: Float[Array, "inputs gates"], bias: Float[Array, " gates"]) -> Dense:
    return Dense((weight,), (bias,), "tanh")
