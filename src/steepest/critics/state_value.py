"""State-value critics (C1–C3)."""

import abc

import equinox as eqx
from jaxtyping import Array, Float, Key

from steepest.core.spaces import Spec
from steepest.core.types import AnyArray
from steepest.networks import AbstractEncoder, ActivationName, Dense, FlatEncoder


class AbstractStateValue(eqx.Module):
    """$V_\\phi(s)$, in the unit of return: a module whose array leaves are the parameters."""

    @abc.abstractmethod
    def __call__(self, obs: AnyArray) -> Float[Array, "*batch"]:
        """The value of each observation; leading axes of `obs` are batch axes."""


class StateValue(AbstractStateValue):
    """$V_\\phi(s)$ from an encoder and dense layers."""

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
    ) -> "StateValue":
        """Draw a critic for the observations of `spec`."""
        encoder = FlatEncoder(spec.observation)
        return cls(encoder, Dense.initial(key, (encoder.size, *hidden, 1), activation=activation, output_scale=1.0))

    def __call__(self, obs: AnyArray) -> Float[Array, "*batch"]:
        return self.network(self.encoder(obs))[..., 0]
