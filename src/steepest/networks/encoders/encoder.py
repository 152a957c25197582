"""What an encoder is: how an observation enters a network."""

import abc

import equinox as eqx
from jaxtyping import Array, Float

from steepest.core.types import PyTree


class AbstractEncoder(eqx.Module):
    """The first part of a network: from an observation to features. Array leaves are parameters."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """How many features there are."""

    @abc.abstractmethod
    def __call__(self, obs: PyTree) -> Float[Array, "*batch F"]:
        """The features of each observation; leading axes are batch axes."""
