"""What is said of an environment that raises: what, where in whose code, and during which step."""

from __future__ import annotations

import functools
import pathlib
import sysconfig
import traceback
from collections.abc import Sequence

import gymnasium
import numpy as np

from steepest.core.errors import EnvironmentFault

_SHOWN = 8
"""Components of an action that a message shows."""


def raised(name: str, error: Exception, during: str = "") -> EnvironmentFault:
    """The fault of an environment that raised, in one line.

    **Arguments**

    - `name`: of the environment.
    - `during`: which call that was, in words.
    """
    said = one_line(error)
    parts = [f"{type(error).__name__}: {said}" if said else type(error).__name__, place_of(error), during]
    return EnvironmentFault(f"{name} raised {', '.join(filter(None, parts))}. {_remedy(error)}")


def one_line(error: Exception) -> str:
    """What an exception says, without line breaks and full stop."""
    return " ".join(str(error).split()).rstrip(".")


def in_words(action: np.ndarray) -> str:
    """An action, as short as a message needs it."""
    if action.size > _SHOWN:
        return f"[{', '.join(f'{each:.4g}' for each in action.ravel()[:_SHOWN])}, …]"
    return str(action.tolist())


def place_of(error: Exception) -> str:
    """File, line and source of where an exception was raised: in the user's code where that was on the way, if any."""
    return place_in(traceback.extract_tb(error.__traceback__))


def place_in(stack: Sequence[traceback.FrameSummary]) -> str:
    """File, line and source of the last call on a stack: in the user's code where that is on the way, if any."""
    frames = [frame for frame in stack if not _within(frame, _ours())]
    theirs = [frame for frame in frames if not _within(frame, (*_ours(), *_installed()))]
    others = [frame for frame in frames if not _within(frame, _gymnasium())]
    found = next((kind[-1] for kind in (theirs, others) if kind), None)
    if found is None:
        return ""
    source = f" ({found.line})" if found.line else ""
    return f"at {found.filename}:{found.lineno}{source}"


def _remedy(error: Exception) -> str:
    """What to do; of a wrapper that could not unpack what the environment returned, what it should return."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, ValueError | TypeError) and "unpack" in str(error) and _within(frames[-1], _gymnasium()):
        return RETURNS.get(frames[-1].name, "Correct the environment.")
    return "Correct the environment."


RETURNS = {
    "reset": "Correct the environment: reset must return two values, an observation and a dictionary.",
    "step": "Correct the environment: step must return five values: an observation, the reward, whether it terminated, "
    "whether it was truncated, and a dictionary. What was called done is one of the two in the middle.",
}
"""What to do where a method returns something else than it must."""


def _within(frame: traceback.FrameSummary, directories: tuple[str, ...]) -> bool:
    return frame.filename.startswith(directories)


@functools.cache
def _ours() -> tuple[str, ...]:
    """This library, and code that no file holds, such as the checks of types in its tests."""
    return str(pathlib.Path(__file__).parents[2]), "<"


@functools.cache
def _gymnasium() -> tuple[str, ...]:
    return (str(pathlib.Path(gymnasium.__file__).parent),)


@functools.cache
def _installed() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return (*_gymnasium(), *(paths[each] for each in ("stdlib", "platstdlib", "purelib", "platlib")))
