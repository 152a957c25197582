"""State-value critics, and the regression that fits them (C1–C3)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Shaped

import steepest._platform  # noqa: F401
from steepest.core.network import ActivationName, Network, feature_count, features
from steepest.core.problem import AbstractMaximisation, Info, weighted_mean
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


class ValueRegression(AbstractMaximisation[StateValue]):
    """Least squares, as something to be made larger: $-\\tfrac12\\,\\mathrm{mean}\\,(V_\\phi(s) - y)^2$.

    The targets $y$ are constants, whatever they were made of: returns (C1), bootstrapped values (C2, C3).

    - `weight`: 1 for a row that counts, 0 for one that does not, even when its target is NaN.
    """

    obs: Shaped[AnyArray, "B ..."]
    target: Float[Array, " B"]
    weight: Float[Array, " B"]

    @property
    def size(self) -> int:
        return self.target.shape[0]

    def minibatch(self, indices: Int[Array, " M"]) -> "ValueRegression":
        return jax.tree.map(lambda rows: rows[indices], self)

    def evaluate(self, parameters: StateValue) -> tuple[Float[Array, ""], Info]:
        error = parameters(self.obs) - jax.lax.stop_gradient(self.target)
        # Before the square: the derivative of a square that is thrown away later is still 0 × NaN.
        error = jnp.where(self.weight > 0, error, 0)
        return -0.5 * weighted_mean(jnp.square(error), self.weight), {}
