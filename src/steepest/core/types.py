"""Names for the array types that annotations share."""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import PyTree as TreeOf

if TYPE_CHECKING:  # the two have the methods that are used here in common, but no type says so
    AnyArray = Any
else:
    AnyArray = jax.Array | np.ndarray
"""An array on the device or on the host: trajectories may be either."""

PyTree = Any
"""A tree of anything. `TreeOf[...]` says of what: an observation or an action is one array, or a tree of arrays."""

__all__ = ["AnyArray", "PyTree", "TreeOf"]
