"""The diagnostics of an update."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from steepest.core.types import PyTree

MASK = "action_mask"
"""The name of a flag that says whether the masks of a stream allow an action."""


class Finite(eqx.Module):
    """Finiteness flags of the quantities of an update, in the order in which they were computed.

    The order matters: one NaN spreads, and the first bad quantity is the one to look at.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    flags: Bool[Array, " K"]

    @classmethod
    def of(cls, **quantities: PyTree) -> "Finite":
        """Check every array in each named tree."""
        return cls(tuple(quantities), jnp.stack([_all_finite(tree) for tree in quantities.values()]))

    @classmethod
    def each(cls, name: str, flags: Bool[Array, " N"]) -> "Finite":
        """A flag for each of several, `name[0]`, `name[1]`, …"""
        return cls(tuple(f"{name}[{index}]" for index in range(flags.shape[0])), flags)

    def then(self, later: "Finite") -> "Finite":
        """Append checks that were made later."""
        return Finite(self.names + later.names, jnp.concatenate([self.flags, later.flags]))

    @property
    def first_bad(self) -> Array:
        """Index of the first quantity that was not finite; −1 when all were."""
        return jnp.where(jnp.all(self.flags), -1, jnp.argmin(self.flags)).astype(jnp.int32)


def _all_finite(tree: PyTree) -> Bool[Array, ""]:
    # The sum of |x| × 0 is 0 exactly when every x is finite; one fused reduction, cheaper than a boolean one.
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    flags = [jnp.sum(leaf * 0) == 0 for leaf in leaves]
    return jnp.all(jnp.stack(flags)) if flags else jnp.asarray(True)


class UpdateInfo(eqx.Module):
    """The diagnostics of one update: `metrics` by name, and `finite` flags."""

    metrics: dict[str, Float[Array, ""]]
    finite: Finite
