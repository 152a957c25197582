"""Conversion between what policies choose and see, and what environments take and give.

Training, evaluation, demonstrations and deployed policies all convert here, so that a policy acts alike in all of them.
"""

import numpy as np
from jaxtyping import Float32, Shaped

from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete, Leaf, Mask, MultiDiscrete, Space, map_leaves
from steepest.core.types import PyTree


def to_environment(space: Space, action: PyTree) -> PyTree:
    """Actions as the environment takes them: within its bounds and in its type, choices counted as it counts them.

    Of a tree of spaces, a tree of arrays.

    Whole numbers are the nearest. NaN remains NaN where the type has it.

    >>> to_environment(Discrete(3, start=5), np.array([0, 2])).tolist()
    [5, 7]
    >>> float(to_environment(Box(-0.1, 0.1, (), native=np.float64), np.float32([0.1]))[0])  # and not 0.100000001
    0.1
    """
    return map_leaves(_to_environment, space, action)


def from_environment(space: Space, given: PyTree) -> PyTree:
    """Observations or actions as policies know them: in the type of the space, choices counted from 0.

    Of a tree of spaces, a tree of arrays.

    **Raises** `InputError` for numbers that a space of bytes cannot hold.
    """
    return map_leaves(_from_environment, space, given)


def as_given(space: Space, obs: PyTree) -> PyTree:
    """Observations as the environment gives them, from what `from_environment` made of them."""
    return map_leaves(
        lambda leaf, each: each if isinstance(leaf, Box | Mask) else each + first_choice(leaf), space, obs
    )


def rows_of(tree: PyTree) -> int:
    """How many rows an array has, or every array of a tree."""
    while not hasattr(tree, "shape"):
        tree = next(iter(tree.values())) if isinstance(tree, dict) else tree[0]
    return tree.shape[0]


def _to_environment(space: Leaf, action: Shaped[np.ndarray, "*batch"]) -> Shaped[np.ndarray, "*batch"]:
    return _within(space, action) if isinstance(space, Box) else action + first_choice(space)


def _from_environment(space: Leaf, given: Shaped[np.ndarray, "*batch"]) -> Shaped[np.ndarray, "*batch"]:
    match space:
        case Mask():
            return given.astype(bool)
        case Box(dtype=kind) if kind == np.uint8:
            return _bytes(given)
        case Box():
            return in_single_precision(given)
        case _:
            with np.errstate(invalid="ignore"):  # of NaN, which checks refuse
                return (given - first_choice(space)).astype(space.dtype)


def first_choice(space: Leaf) -> int | np.ndarray:
    """What the environment calls choice 0, of each component."""
    match space:
        case Discrete(start=start):
            return start
        case MultiDiscrete(start=start):
            return np.array(start)
        case _:
            return 0


def last_choice(space: Leaf) -> int | np.ndarray:
    """The largest choice of each component, counted from 0."""
    match space:
        case Discrete(n=n):
            return n - 1
        case MultiDiscrete(nvec=nvec):
            return np.array(nvec) - 1
        case _:
            return 1


def in_single_precision(array: Shaped[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """A copy in float32; a number beyond its range becomes infinite, which checks refuse."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _bytes(given: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # NaN is among what is refused
        converted = given.astype(np.uint8)
    wrong = converted != given
    if given.dtype != np.uint8 and wrong.any():
        raise InputError(
            f"an observation holds {given[wrong].flat[0]}, and its space whole numbers from 0 to 255 (uint8). Give "
            "these, or make the space one of float32."
        )
    return converted


def _within(space: Box, action: np.ndarray) -> np.ndarray:
    low, high = space.native_low, space.native_high
    wide = action.astype(np.float64)  # where the bounds of all types but 64-bit integers are exact
    if low.dtype.kind in "iub":
        wide = np.rint(wide)  # a cast alone would hardly ever reach the upper bound
    with np.errstate(invalid="ignore"):  # of NaN, which is found by whoever learns from it
        inside = np.clip(wide, low.astype(np.float64), high.astype(np.float64)).astype(low.dtype)
    # At the bounds of policies are those of the environment, digit for digit.
    return np.where(action >= space.high, high, np.where(action <= space.low, low, inside))
