"""The spaces of Gymnasium in the words of steepest."""

import gymnasium
import numpy as np

from steepest.core.errors import InputError
from steepest.core.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

Bounds = tuple[float | None, float | None]


def from_gymnasium(role: str, space: object, bounds: Bounds = (None, None), entry: str = "") -> Space:
    """The space of steepest for a Gymnasium space.

    **Arguments**

    - `role`: observation or action.
    - `bounds`: of actions that have none.
    - `entry`: where it stands in a space of several, for messages.

    **Raises** `InputError` for a kind of space that policies and critics cannot take.
    """
    match space:
        case gymnasium.spaces.Discrete():
            return Discrete(int(space.n), int(space.start))
        case gymnasium.spaces.MultiDiscrete() if space.nvec.ndim == 1 and space.nvec.size:
            return MultiDiscrete(tuple(space.nvec.tolist()), tuple(space.start.tolist()))
        case gymnasium.spaces.MultiBinary() if len(space.shape) == 1 and space.shape[0]:
            return MultiBinary(space.shape[0])
        case gymnasium.spaces.Box() if 0 not in space.shape:
            return _box(role, space, bounds)
        case gymnasium.spaces.Dict() if len(space.spaces):
            return Dict(
                {name: from_gymnasium(role, each, bounds, f"{entry}[{name!r}]") for name, each in space.spaces.items()}
            )
        case gymnasium.spaces.Tuple() if len(space.spaces):
            parts = enumerate(space.spaces)
            return Tuple(tuple(from_gymnasium(role, each, bounds, f"{entry}[{index}]") for index, each in parts))
        case _:
            raise InputError(f"{role} space{entry} is {_words(space)}; {_remedy(role, space, entry)}")


def _words(space: object) -> str:
    shape = getattr(space, "shape", None)
    return "missing" if space is None else f"a {type(space).__name__}{f' of shape {shape}' if shape else ''}"


def _remedy(role: str, space: object, entry: str) -> str:
    if not isinstance(space, gymnasium.Space):
        return f"it must be one of gymnasium.spaces. Set self.{role}_space where the environment is made."
    if 0 in (space.shape or ()):
        return "it has no component. Give it one that is always 0."
    supported = (
        "Box, Discrete, MultiDiscrete and MultiBinary with one axis, and Dict and Tuple of these are supported. Give a "
        "function that makes the environment inside a wrapper"
    )
    if entry.startswith("['") and role == "observation":
        return (
            f"{supported} that leaves the entry out: gymnasium.wrappers.FilterObservation(env, […]), with the names of "
            "the entries to keep."
        )
    if role == "action":
        return (
            f"{supported}: gymnasium.wrappers.TransformAction(env, function, space), whose function turns an action of "
            "the supported space into one of the environment's."
        )
    if space.is_np_flattenable:
        return f"{supported}: lambda: gymnasium.wrappers.FlattenObservation(…)."
    return (
        f"{supported}: gymnasium.wrappers.TransformObservation(env, function, space), whose function lays an "
        "observation out in an array of one length."
    )


def _box(role: str, space: gymnasium.spaces.Box, bounds: Bounds) -> Box:
    low, high = space.low, space.high
    if np.issubdtype(space.dtype, np.floating):
        # A bound at the end of float32 is how some environments say that there is none.
        largest = np.finfo(np.float32).max
        low = np.where(low <= -largest, np.asarray(-np.inf, space.dtype), low)
        high = np.where(high >= largest, np.asarray(np.inf, space.dtype), high)
    if role == "observation":
        # Nothing depends on these bounds, so an observation with a component that never changes is welcome.
        constant = low.astype(np.float32) >= high.astype(np.float32)
        kept = np.uint8 if space.dtype == np.uint8 else np.float32
        return Box(np.where(constant, -np.inf, low), np.where(constant, np.inf, high), space.shape, dtype=kept)
    low = low if bounds[0] is None else np.where(np.isinf(low), np.asarray(bounds[0], space.dtype), low)
    high = high if bounds[1] is None else np.where(np.isinf(high), np.asarray(bounds[1], space.dtype), high)
    if np.any(low >= high):
        where = np.argwhere(low >= high)[0].tolist()
        raise InputError(
            f"action space: component {where} lies between {low[tuple(where)]:g} and {high[tuple(where)]:g}; the first "
            f"must be below the second. Correct action_low and action_high, or take the component out in a wrapper."
        )
    return Box(low, high, space.shape, native=space.dtype)
