"""State values with memory: $V(h_t)$ of all that was seen in an episode (C8)."""

from jaxtyping import Array, Float, Key

from steepest.core.histories import Histories
from steepest.core.types import PyTree
from steepest.critics.state_value import AbstractStateValue
from steepest.networks import Dense, RecurrentTrunk


class RecurrentValue(AbstractStateValue):
    """A value network with a memory of its own: an encoder, dense layers, the memory and a linear layer.

    Called with `Histories`, it returns the value of every row.
    """

    trunk: RecurrentTrunk
    value_output: Dense

    @classmethod
    def initial(cls, key: Key[Array, ""], trunk: RecurrentTrunk) -> "RecurrentValue":
        """Draw the layer that follows a trunk."""
        return cls(trunk, Dense.initial(key, (trunk.size, 1), activation="tanh", output_scale=1.0))

    def __call__(self, obs: PyTree) -> Float[Array, "*batch"]:
        return self.value_output(self.trunk(obs))[..., 0]

    def initial_carry(self, num_streams: int) -> PyTree:
        return self.trunk.initial_carry(num_streams)

    def carries(self, rows: Histories) -> PyTree:
        return self.trunk.unroll(rows)[1]

    def remember(self, carry: PyTree, obs: PyTree) -> PyTree:
        return self.trunk.step(carry, obs)[1]

    def with_successors(self, rows: Histories, next_obs: PyTree) -> tuple[Array, Array]:
        features, following = self.trunk.with_successors(rows, next_obs)
        return self.value_output(features)[..., 0], self.value_output(following)[..., 0]
