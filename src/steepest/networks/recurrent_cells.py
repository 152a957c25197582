"""Recurrent cells: what a network carries from one observation of an episode to the next."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.types import PyTree
from steepest.networks.dense import Dense
from steepest.networks.rational import sigmoid, tanh


class AbstractMemory(eqx.Module):
    """A recurrent cell. Array leaves are parameters.

    A step is written in three parts. What comes from the input is `projected`, for all rows in one matrix product; what
    comes from the memory is `recalled`, an affine map of its output; and `combined` makes the next memory of both and
    of what is `kept`, number by number and without parameters. `unrolled` relies on that.

    - `weight`: of the memory's output, [H, gates × H].
    """

    weight: eqx.AbstractVar[Float[Array, "H gates"]]

    @property
    def size(self) -> int:
        """How many features it puts out, H."""
        return self.weight.shape[0]

    @abc.abstractmethod
    def initial_carry(self, batch: tuple[int, ...]) -> PyTree:
        """The memory at the start of an episode: zeros, with these leading axes, in the precision of the weights."""

    @abc.abstractmethod
    def output(self, carry: PyTree) -> Float[Array, "*batch H"]:
        """What the network goes on with: one of the arrays of the memory."""

    @abc.abstractmethod
    def kept(self, carry: PyTree) -> Float[Array, "*batch H"]:
        """The array of the memory that `combined` looks at."""

    @abc.abstractmethod
    def projected(self, features: Float[Array, "*batch F"]) -> Float[Array, "*batch G"]:
        """What the features bring to the gates."""

    @abc.abstractmethod
    def recalled(self, carry: PyTree) -> Float[Array, "*batch G"]:
        """What the memory brings to the gates: its output times `weight`, and a bias."""

    @abc.abstractmethod
    def combined(
        self, carry: PyTree, projected: Float[Array, "*batch G"], recalled: Float[Array, "*batch G"]
    ) -> PyTree:
        """The memory after a step: a feature of it depends on that feature of the arguments only."""

    @abc.abstractmethod
    def slopes(self, carry: PyTree, projected: Float[Array, "*batch G"], recalled: Float[Array, "*batch G"]) -> PyTree:
        """The derivatives of `combined`: `Slopes` in place of each array of the memory."""

    def advance(self, carry: PyTree, projected: Float[Array, "*batch G"]) -> PyTree:
        """The memory after one more step."""
        return self.combined(carry, projected, self.recalled(carry))


class Slopes(NamedTuple):
    """The derivatives of an array of the memory after a step, by `kept`, and by what is brought to each gate."""

    kept: Float[Array, "*batch H"]
    projected: Float[Array, "*batch gates H"]
    recalled: Float[Array, "*batch gates H"]


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
        return cls(
            input=_linear(_gates(for_input, inputs, size, 3), bias),
            weight=_gates(for_memory, size, size, 3),
            candidate_bias=jnp.zeros(size, jnp.float32),
        )

    def initial_carry(self, batch: tuple[int, ...]) -> Float[Array, "*batch H"]:
        return jnp.zeros((*batch, self.size), self.weight.dtype)

    def projected(self, features: Float[Array, "*batch F"]) -> Float[Array, "*batch G"]:
        return self.input(features)

    def recalled(self, carry: Float[Array, "*batch H"]) -> Float[Array, "*batch G"]:
        bias = jnp.concatenate([jnp.zeros(2 * self.size, self.weight.dtype), self.candidate_bias])
        return carry @ self.weight + jnp.broadcast_to(bias, (*carry.shape[:-1], len(bias)))

    def combined(
        self, carry: Float[Array, "*batch H"], projected: Float[Array, "*batch G"], recalled: Float[Array, "*batch G"]
    ) -> Float[Array, "*batch H"]:
        _, keep, candidate = self._gates(projected, recalled)
        return candidate + keep * (carry - candidate)

    def slopes(
        self, carry: Float[Array, "*batch H"], projected: Float[Array, "*batch G"], recalled: Float[Array, "*batch G"]
    ) -> Slopes:
        reset, keep, candidate = self._gates(projected, recalled)
        by_new = (1 - keep) * (1 - jnp.square(candidate))
        by_reset = by_new * recalled[..., 2 * self.size :] * reset * (1 - reset)
        by_keep = (carry - candidate) * keep * (1 - keep)
        by_projected = jnp.stack([by_reset, by_keep, by_new], axis=-2)
        return Slopes(keep, by_projected, jnp.stack([by_reset, by_keep, by_new * reset], axis=-2))

    def _gates(
        self, projected: Float[Array, "*batch G"], recalled: Float[Array, "*batch G"]
    ) -> tuple[Array, Array, Array]:
        both = 2 * self.size
        reset, keep = jnp.split(sigmoid(projected[..., :both] + recalled[..., :both]), 2, axis=-1)
        return reset, keep, tanh(projected[..., both:] + reset * recalled[..., both:])

    def kept(self, carry: Float[Array, "*batch H"]) -> Float[Array, "*batch H"]:
        return carry

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
        weight = _gates(for_memory, size, size, 4)
        return cls(input=_linear(_gates(for_input, inputs, size, 4), bias), weight=weight)

    def initial_carry(self, batch: tuple[int, ...]) -> tuple[Array, Array]:
        zeros = jnp.zeros((*batch, self.size), self.weight.dtype)
        return zeros, zeros

    def projected(self, features: Float[Array, "*batch F"]) -> Float[Array, "*batch G"]:
        return self.input(features)

    def recalled(self, carry: tuple[Array, Array]) -> Float[Array, "*batch G"]:
        return carry[0] @ self.weight

    def combined(
        self, carry: tuple[Array, Array], projected: Float[Array, "*batch G"], recalled: Float[Array, "*batch G"]
    ) -> tuple[Array, Array]:
        enter, forget, leave, new = self._gates(projected, recalled)
        cell = forget * carry[1] + enter * new
        return leave * tanh(cell), cell

    def slopes(
        self, carry: tuple[Array, Array], projected: Float[Array, "*batch G"], recalled: Float[Array, "*batch G"]
    ) -> tuple[Slopes, Slopes]:
        enter, forget, leave, new = self._gates(projected, recalled)
        by_enter, by_forget = new * enter * (1 - enter), carry[1] * forget * (1 - forget)
        by_new = enter * (1 - jnp.square(new))
        shown = tanh(forget * carry[1] + enter * new)
        by_cell, by_leave = leave * (1 - jnp.square(shown)), shown * leave * (1 - leave)
        of_cell = jnp.stack([by_enter, by_forget, jnp.zeros_like(leave), by_new], axis=-2)
        of_hidden = (by_cell[..., None, :] * of_cell).at[..., 2, :].set(by_leave)
        return Slopes(by_cell * forget, of_hidden, of_hidden), Slopes(forget, of_cell, of_cell)

    def _gates(
        self, projected: Float[Array, "*batch G"], recalled: Float[Array, "*batch G"]
    ) -> tuple[Array, Array, Array, Array]:
        total, three = projected + recalled, 3 * self.size
        enter, forget, leave = jnp.split(sigmoid(total[..., :three]), 3, axis=-1)
        return enter, forget, leave, tanh(total[..., three:])

    def kept(self, carry: tuple[Array, Array]) -> Float[Array, "*batch H"]:
        return carry[1]

    def output(self, carry: tuple[Array, Array]) -> Float[Array, "*batch H"]:
        return carry[0]


def _gates(key: Key[Array, ""], inputs: int, size: int, count: int) -> Float[Array, "inputs gates"]:
    draw = jax.nn.initializers.orthogonal()
    return jnp.concatenate([draw(each, (inputs, size), jnp.float32) for each in jax.random.split(key, count)], axis=1)


def _linear(weight: Float[Array, "inputs gates"], bias: Float[Array, " gates"]) -> Dense:
    return Dense((weight,), (bias,), "tanh")
