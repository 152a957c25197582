"""Encoders of the user's own: any module from an observation to features."""

from collections.abc import Callable
from typing import cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from steepest.core.errors import InputError
from steepest.core.importing import import_named
from steepest.core.spaces import Leaf, Spec, map_leaves, zeros
from steepest.core.types import AnyArray, PyTree
from steepest.networks.encoders.encoder import AbstractEncoder


class OwnEncoder(AbstractEncoder):
    """A module that makes features of one observation, called for many at once.

    - `module`: from one observation, as the environment shows it (bytes of a picture too), to features: an array with
      one axis. Its array leaves are parameters.
    - `spec`: of the task.
    """

    module: Callable[[PyTree], Array]
    spec: Spec = eqx.field(static=True)
    features: int = eqx.field(static=True)

    @classmethod
    def of(cls, module: Callable[[PyTree], Array], spec: Spec, name: str) -> "OwnEncoder":
        """Ask how many features it makes. **Raises** `InputError` where it makes none, or fails."""
        example = jax.tree.map(jnp.asarray, zeros(spec.observation))
        try:
            made = eqx.filter_eval_shape(module, example)
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise InputError(
                f"encoder {name}: it cannot take an observation of {spec.observation}: {said}. It is called with one "
                "observation, without batch axes, and returns an array of features with one axis."
            ) from error
        if len(getattr(made, "shape", ())) != 1 or not jnp.issubdtype(made.dtype, jnp.floating):
            raise InputError(
                f"encoder {name}: of one observation it makes {made}; it must make an array of real numbers with one "
                "axis. jax.numpy.ravel lays an array flat."
            )
        return cls(module, spec, made.shape[0])

    @property
    def size(self) -> int:
        return self.features

    def __call__(self, obs: PyTree) -> Float[Array, "*batch F"]:
        batch: list[tuple[int, ...]] = []

        def in_a_line(leaf: Leaf, array: AnyArray) -> Array:
            batch.append(array.shape[: array.ndim - len(leaf.shape)])
            return jnp.asarray(array).reshape(-1, *leaf.shape)

        rows = map_leaves(in_a_line, self.spec.observation, obs)
        return jax.vmap(self.module)(rows).reshape(*batch[0], self.features)


def own_encoder(key: Key[Array, ""], spec: Spec, name: str) -> AbstractEncoder:
    """An encoder from `module:Class`, called with `(key, spec)`.

    What is no `AbstractEncoder`, which takes batches, is a module that takes one observation.

    **Raises** `InputError` where there is no such class, or it makes none.
    """
    module, _, attribute = name.partition(":")
    try:
        make = getattr(import_named(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"encoder is {name!r}, which cannot be found: {error}. Give module:Class, of a module that Python finds."
        ) from error
    try:
        made = make(key, spec)
    except InputError:
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(
            f"encoder {name}: it cannot be made: {said}. It is called with a key and the Spec of the task."
        ) from error
    if isinstance(made, AbstractEncoder):
        return made
    if not callable(made):
        raise InputError(f"encoder {name}: it makes a {type(made).__name__}; it must make a module that is called.")
    return OwnEncoder.of(cast("Callable[[PyTree], Array]", made), spec, name)
