"""State-value critics (C1–C3)."""

import equinox as eqx
from jaxtyping import Array, Float, Key

from steepest.core.network import ActivationName, Network, feature_count, features
from steepest.core.spaces import Space, Spec
from steepest.core.types import AnyArray


class StateValue(eqx.Module):
    """$V_\\phi(s)$ from a dense network, in the unit of return."""

    network: Network
    observation: Space = eqx.field(static=True)

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
        sizes = (feature_count(spec.observation), *hidden, 1)
        return cls(Network.initial(key, sizes, activation=activation, output_scale=1.0), spec.observation)

    def __call__(self, obs: AnyArray) -> Float[Array, "*batch"]:
        """The value of each observation."""
        return self.network(features(self.observation, obs))[..., 0]
