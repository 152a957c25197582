"""The part of a recurrent network that comes before its heads."""

from typing import Literal

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

from steepest.core.histories import Histories
from steepest.core.trajectory import flatten
from steepest.core.types import PyTree
from steepest.networks.dense import ActivationName, Dense
from steepest.networks.encoders import AbstractEncoder
from steepest.networks.recurrent_cells import GRU, LSTM, AbstractMemory
from steepest.networks.unrolling import unrolled

MemoryName = Literal["gru", "lstm"]


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

        projected, begins = rows.by_step((self._projected(rows.obs), rows.begins))
        carries = flatten(unrolled(self.memory, projected, begins, rows.carry))
        return self.memory.output(carries), carries

    def with_successors(self, rows: Histories, next_obs: PyTree) -> tuple[Float[Array, "B H"], Float[Array, "B H"]]:
        """The features of every row, and of its successor, seen with the memory that the row left.

        At the end of an episode that is the memory of that moment, and not the one that the next episode begins with.
        """
        features, carries = self.unroll(rows)
        return features, self.step(carries, next_obs)[0]

    def _projected(self, obs: PyTree) -> Float[Array, "*batch G"]:
        return self.memory.projected(self.layers(self.encoder(obs)))
