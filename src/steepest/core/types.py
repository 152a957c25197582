"""Names for the array types that annotations share."""

from typing import Any

import jax
import numpy as np

import steepest._platform  # noqa: F401

AnyArray = jax.Array | np.ndarray
"""An array on the device or on the host: trajectories may be either."""

PyTree = Any
