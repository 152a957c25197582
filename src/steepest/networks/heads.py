"""From the last layer of a network to a distribution over actions: one head for each kind of action space."""

import abc
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from steepest.core.distributions import (
    AbstractDistribution,
    Bernoulli,
    Categorical,
    Gaussian,
    Product,
    TanhGaussian,
)
from steepest.core.distributions import (
    MultiDiscrete as MultiDiscreteDistribution,
)
from steepest.core.errors import InputError
from steepest.core.spaces import (
    Box,
    Dict,
    Discrete,
    Mask,
    Masked,
    MaskedObservation,
    MultiBinary,
    MultiDiscrete,
    Space,
    Tuple,
)
from steepest.core.types import AnyArray, PyTree
from steepest.core.validation import LOG_STD_BOUNDS, check_start_of_log_std

GaussianKind = Literal["gaussian", "state_dependent", "squashed", "bounded"]


class AbstractHead(eqx.Module):
    """Turns `inputs` numbers into a distribution. Array leaves are parameters of the policy."""

    @property
    @abc.abstractmethod
    def inputs(self) -> int:
        """How many numbers the network must supply."""

    @abc.abstractmethod
    def __call__(self, outputs: Float[Array, "*batch inputs"]) -> AbstractDistribution:
        """The distribution that the numbers describe."""

    def in_place(self, outputs: Float[Array, "*batch inputs"], obs: PyTree) -> AbstractDistribution:
        """The distribution that the numbers describe; where the observation has a mask, of allowed actions alone."""
        return self.masked(outputs, obs.mask) if isinstance(obs, MaskedObservation) else self(outputs)

    def masked(self, outputs: Float[Array, "*batch inputs"], mask: Bool[AnyArray, "*batch m"]) -> AbstractDistribution:
        """The distribution of actions that `mask` allows."""
        return self(outputs).masked(jnp.asarray(mask))


class CategoricalHead(AbstractHead):
    """One logit for each choice; of all probability, `uniform_share` is spread evenly, whatever the logits."""

    n: int = eqx.field(static=True)
    uniform_share: float = eqx.field(static=True, default=0.0)

    @property
    def inputs(self) -> int:
        return self.n

    def __call__(self, outputs: Float[Array, "*batch inputs"]) -> Categorical:
        if not self.uniform_share:
            return Categorical(outputs)
        return self._mixed(outputs, self.n)

    def masked(self, outputs: Float[Array, "*batch inputs"], mask: Bool[AnyArray, "*batch m"]) -> Categorical:
        allowed = Categorical(outputs).masked(jnp.asarray(mask))
        if not self.uniform_share:
            return allowed
        # Spread over the actions that are allowed, and no others.
        return self._mixed(allowed.logits, jnp.sum(mask, axis=-1, keepdims=True).astype(outputs.dtype)).masked(
            jnp.asarray(mask)
        )

    def _mixed(self, logits: Float[Array, "*batch n"], count: int | Array) -> Categorical:
        share = jnp.asarray(self.uniform_share, logits.dtype)
        return Categorical(jnp.log((1 - share) * jax.nn.softmax(logits) + share / count))


class MultiDiscreteHead(AbstractHead):
    """One logit for each choice of each component."""

    nvec: tuple[int, ...] = eqx.field(static=True)

    @property
    def inputs(self) -> int:
        return sum(self.nvec)

    def __call__(self, outputs: Float[Array, "*batch inputs"]) -> MultiDiscreteDistribution:
        parts = jnp.split(outputs, np.cumsum(self.nvec)[:-1].tolist(), axis=-1)
        return MultiDiscreteDistribution(tuple(parts))


class BernoulliHead(AbstractHead):
    """One logit for each switch."""

    n: int = eqx.field(static=True)

    @property
    def inputs(self) -> int:
        return self.n

    def __call__(self, outputs: Float[Array, "*batch inputs"]) -> Bernoulli:
        return Bernoulli(outputs)


class GaussianHead(AbstractHead):
    """A Gaussian in the action's own units: mean = centre + half-width × output, and log σ a free parameter.

    An output of ±1 is a bound of the space and log σ = 0 is a deviation of half its width, so the same
    initialisation suits torques of 0.4 and of 200.
    """

    log_std: Float[Array, " d"]
    centre: tuple[float, ...] = eqx.field(static=True)
    half_width: tuple[float, ...] = eqx.field(static=True)

    @property
    def inputs(self) -> int:
        return len(self.centre)

    def __call__(self, outputs: Float[Array, "*batch inputs"]) -> Gaussian:
        mean = _along(outputs, self.centre) + _along(outputs, self.half_width) * outputs
        log_std = self.log_std + np.log(np.asarray(self.half_width, self.log_std.dtype))
        return Gaussian(mean, jnp.broadcast_to(log_std, mean.shape))


class StateDependentGaussianHead(AbstractHead):
    """A Gaussian whose log σ is an output of the network too, kept between `lowest` and `highest` by a soft bound.

    The bounds are exclusive: σ would not move from there. `initial_log_std` is where an output of 0 puts it.
    """

    centre: tuple[float, ...] = eqx.field(static=True)
    half_width: tuple[float, ...] = eqx.field(static=True)
    initial_log_std: float = eqx.field(static=True)
    lowest: float = eqx.field(static=True, default=LOG_STD_BOUNDS[0])
    highest: float = eqx.field(static=True, default=LOG_STD_BOUNDS[1])

    @property
    def inputs(self) -> int:
        return 2 * len(self.centre)

    def __call__(self, outputs: Float[Array, "*batch inputs"]) -> AbstractDistribution:
        location, scale = jnp.split(outputs, 2, axis=-1)
        mean = _along(location, self.centre) + _along(location, self.half_width) * location
        log_std = self.bounded(scale) + jnp.log(_along(scale, self.half_width))
        return Gaussian(mean, log_std)

    def bounded(self, scale: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
        """Map any number into the allowed range; 0 gives `initial_log_std`."""
        width = self.highest - self.lowest
        offset = np.arctanh(2 * (self.initial_log_std - self.lowest) / width - 1).item()
        return self.lowest + 0.5 * width * (jnp.tanh(scale + offset) + 1)


class SquashedGaussianHead(StateDependentGaussianHead):
    """A state-dependent Gaussian before a tanh that ends at the bounds of the space."""

    def __call__(self, outputs: Float[Array, "*batch inputs"]) -> AbstractDistribution:
        location, scale = jnp.split(outputs, 2, axis=-1)
        centre, half = np.asarray(self.centre), np.asarray(self.half_width)
        low, high = tuple((centre - half).tolist()), tuple((centre + half).tolist())
        return TanhGaussian(location, self.bounded(scale), low, high)


class BoundedHead(AbstractHead):
    """A Gaussian around a mean that ends at the bounds of the space, by tanh; its σ is given, and nothing learns it.

    For policies whose mode is what matters, with noise around it for exploring.
    """

    centre: tuple[float, ...] = eqx.field(static=True)
    half_width: tuple[float, ...] = eqx.field(static=True)
    log_std: float = eqx.field(static=True)

    @property
    def inputs(self) -> int:
        return len(self.centre)

    def __call__(self, outputs: Float[Array, "*batch inputs"]) -> Gaussian:
        half = _along(outputs, self.half_width)
        mean = _along(outputs, self.centre) + half * jnp.tanh(outputs)
        return Gaussian(mean, jnp.broadcast_to(self.log_std + jnp.log(half), mean.shape))


class ProductHead(AbstractHead):
    """A head for each part of a tree of actions, one after the other."""

    heads: dict[str, AbstractHead] | tuple[AbstractHead, ...]

    @property
    def inputs(self) -> int:
        return sum(head.inputs for _, head in self._named())

    def __call__(self, outputs: Float[Array, "*batch inputs"]) -> Product:
        ends = np.cumsum([head.inputs for _, head in self._named()])[:-1].tolist()
        parts = zip(self._named(), jnp.split(outputs, ends, axis=-1), strict=True)
        made = [head(part) for (_, head), part in parts]
        return Product(dict(zip(self.heads, made, strict=True)) if isinstance(self.heads, dict) else tuple(made))

    def _named(self) -> list[tuple[str | int, AbstractHead]]:
        return list(self.heads.items() if isinstance(self.heads, dict) else enumerate(self.heads))


def _along(outputs: Float[Array, "*batch d"], constants: tuple[float, ...]) -> Float[Array, "*ones d"]:
    return jnp.asarray(constants, outputs.dtype).reshape(*[1] * (outputs.ndim - 1), len(constants))


def make_head(
    space: Space, *, gaussian: GaussianKind = "gaussian", log_std: float = 0.0, uniform_share: float = 0.0
) -> AbstractHead:
    """The head for an action space.

    **Arguments**

    - `gaussian`: for a `Box`: σ the same in all states, σ that depends on the state, or that and a tanh; or a given σ
      around a mean that ends at the bounds.
    - `log_std`: log σ at first, relative to half the width of the space.
    - `uniform_share`: for `Discrete`: so often the choice is uniform.

    **Raises** `InputError` for a `Box` without finite bounds or with more than one axis, for a `uniform_share` of a
    space that is not `Discrete`, and for a `log_std` from which σ could not move.
    """
    if uniform_share and not isinstance(space, Discrete):
        raise InputError(
            f"uniform_share is {uniform_share}; it is of a choice among some actions, but the action space is "
            f"{type(space).__name__}. Leave it out."
        )
    match space:
        case Dict(spaces=pairs):
            return ProductHead({name: make_head(each, gaussian=gaussian, log_std=log_std) for name, each in pairs})
        case Tuple(spaces=spaces):
            return ProductHead(tuple(make_head(each, gaussian=gaussian, log_std=log_std) for each in spaces))
        case Discrete(n=n):
            return CategoricalHead(n, uniform_share)
        case MultiDiscrete(nvec=nvec):
            return MultiDiscreteHead(nvec)
        case MultiBinary(n=n):
            return BernoulliHead(n)
        case Box(shape=(int(),)) if space.bounded:
            low, high = space.low.astype(np.float64), space.high.astype(np.float64)
            centre, half = tuple(((low + high) / 2).tolist()), tuple(((high - low) / 2).tolist())
            if gaussian == "gaussian":
                return GaussianHead(jnp.full(len(centre), log_std, jnp.float32), centre, half)
            if gaussian == "bounded":
                return BoundedHead(centre, half, log_std)
            check_start_of_log_std(gaussian, log_std)
            kind = SquashedGaussianHead if gaussian == "squashed" else StateDependentGaussianHead
            return kind(centre, half, log_std)
        case Box(shape=(int(),)):
            raise InputError(
                "action space: a Box without finite bounds; a Gaussian policy needs to know their size. "
                "Give bounds with --action-low and --action-high (action_low=…, action_high=… in Python)."
            )
        case Mask() | Masked():
            raise InputError(f"action space: {space} is of observations. Give a space of actions.")
        case Box(shape=shape):
            raise InputError(f"action space: a Box of shape {shape}; it must have one axis. Flatten it in a wrapper.")
