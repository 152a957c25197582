"""The exceptions of steepest. Each message is one line that names the field, the value and the remedy."""

import difflib
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_LISTED = 12
"""The longest list of known names that is shown in a message."""


class InputError(ValueError):
    """An invalid argument. The command line prints the message alone and exits with status 2."""


class EndsTraining(Exception):  # noqa: N818  the errors are its subclasses
    """An error that ends a training before its time; what was learnt until then is kept.

    - `rows`: the rows of metrics from before it that were not yet written.
    - `agents`: of each seed that was being trained, as they were before it.
    - `result`: what there is so far, a `TrainResult`, on what `steepest.train` and `steepest.resume` raise.
    """

    rows: Sequence[dict[str, float]] = ()
    agents: Mapping[int, Any] = types.MappingProxyType({})
    result: Any = None


class EnvironmentFault(EndsTraining, RuntimeError):  # noqa: N818  Python has an EnvironmentError already
    """An environment raised, or returned a value outside its spaces."""


class StorageFault(RuntimeError):  # noqa: N818  the disk is full, or may not be written to
    """A file could not be written. Nothing half-written is left of it."""


class ProcessLost(RuntimeError):  # noqa: N818  nothing that was written is wrong
    """A training process was killed, or crashed."""


class NonFiniteError(EndsTraining, ArithmeticError):
    """A quantity became NaN or infinite. The parameters are those from before it did."""


def out_of_memory(error: Exception) -> bool:
    """Whether an exception means that the host or a device is out of memory."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def unknown(kind: str, name: str, known: Iterable[str], shown_by: str = "") -> InputError:
    """An `InputError` for a name that is not among `known`, with the nearest one that is.

    **Arguments**

    - `shown_by`: the command that shows them, for when they are too many for a line.

    >>> unknown("algorithm", "pp", ["ppo", "a2c"])
    InputError("unknown algorithm 'pp'; did you mean 'ppo'? Known: a2c, ppo.")
    """
    names = sorted(known)
    folded = {each.lower(): each for each in names}
    near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    near = near or [each for each in folded if name and each.startswith(name.lower())]
    hint = f"; did you mean {folded[near[0]]!r}?" if near else "."
    known_ones = f" Known: {', '.join(names)}." if 0 < len(names) <= _LISTED else ""
    if not known_ones and shown_by:
        known_ones = f" {shown_by} shows them."
    return InputError(f"unknown {kind} {name!r}{hint}{known_ones}")
