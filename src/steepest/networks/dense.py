"""Multilayer perceptrons with orthogonal initialisation."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

ActivationName = Literal["tanh", "relu", "elu", "gelu", "silu"]
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
}


class Dense(eqx.Module):
    """A multilayer perceptron; with no hidden layers a linear map, with no layers at all the identity.

    It computes in the precision of its weights.

    Every array leaf is a parameter. Leading axes of the input are batch axes: one matrix product serves them all.

    **Arguments** of `Dense.initial`

    - `sizes`: of input, hidden layers and output.
    - `activation`: between layers, by name.
    - `activate_output`: whether the activation follows the last layer too, as in a trunk that heads are put on.
    - `hidden_scale`, `output_scale`: gains of the orthogonal matrices. √2 suits tanh and ReLU; a small output scale
      starts a policy near uniform.
    """

    weights: tuple[Float[Array, "_ _"], ...]
    biases: tuple[Float[Array, " _"], ...]
    activation: ActivationName = eqx.field(static=True)
    activate_output: bool = eqx.field(static=True, default=False)

    @classmethod
    def initial(
        cls,
        key: Key[Array, ""],
        sizes: Sequence[int],
        *,
        activation: ActivationName,
        output_scale: float,
        hidden_scale: float = math.sqrt(2),
        activate_output: bool = False,
    ) -> "Dense":
        """Draw a network: orthogonal weights, biases of 0."""
        scales = [hidden_scale] * (len(sizes) - 2) + [output_scale] * (len(sizes) > 1)
        keys = jax.random.split(key, max(1, len(scales)))[: len(scales)]
        weights = tuple(
            jax.nn.initializers.orthogonal(scale)(each, shape, jnp.float32)
            for each, scale, shape in zip(keys, scales, itertools.pairwise(sizes), strict=True)
        )
        biases = tuple(jnp.zeros(size, jnp.float32) for size in sizes[1:])
        return cls(weights, biases, activation, activate_output)

    def __call__(self, features: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Apply the layers to the last axis."""
        if not self.weights:
            return features
        activate = ACTIVATIONS[self.activation]
        batch = features.shape[:-1]
        hidden = features.reshape(-1, features.shape[-1]).astype(self.weights[0].dtype)
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = _affine(hidden, weight, bias)
            if self.activate_output or index + 1 < len(self.weights):
                hidden = activate(hidden)
        return hidden.reshape(*batch, hidden.shape[-1])


_WIDE, _NARROW = 8, 4


def _affine(inputs: Float[Array, "B inputs"], weight: Float[Array, "inputs outputs"], bias: Float[Array, " outputs"]):
    """$xW + b$, said in the way whose derivative XLA's CPU backend computes fastest.

    The gradient of W is a product of tall matrices. It is a quarter faster when the ones that carry the bias are a
    column of them, and eight times faster when it is made of vectors where there are only a few outputs.
    """
    if weight.shape[1] <= _NARROW:
        return jnp.stack([inputs @ weight[:, index] for index in range(weight.shape[1])], axis=-1) + bias[None, :]
    if weight.shape[0] < _WIDE:
        return inputs @ weight + bias[None, :]
    ones = jnp.ones((inputs.shape[0], 1), inputs.dtype)
    return jnp.concatenate([inputs, ones], axis=1) @ jnp.concatenate([weight, bias[None, :]], axis=0)
