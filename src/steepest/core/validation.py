"""Checks of numbers and choices where they are given, and annotations of fields that say what to check."""

import dataclasses
import functools
import math
import numbers
import os
import reprlib
import types
import typing
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tyro

from steepest.core.errors import InputError

LOG_STD_BOUNDS = (-5.0, 2.0)
"""Where log σ may lie, relative to half the width of an action space."""
_LOG_STD_MARGIN = 1e-3
_MOST = 64
"""The longest list of numbers that a field may hold."""


def check_number(
    field: str,
    value: object,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    whole: bool = False,
    infinite: bool = False,
    remedy: str,
) -> None:
    """Refuse a number that lies outside its bounds, or is not finite where `infinite` does not allow that.

    Traced values pass unseen: a hyper-parameter may be an array under `jax.vmap`. So do schedules,
    and arrays of several numbers.

    >>> check_number("discount", 1.5, at_least=0, at_most=1, remedy="0.99 is usual.")
    Traceback (most recent call last):
    steepest.core.errors.InputError: discount is 1.5; it must be at least 0 and at most 1. 0.99 is usual.
    """
    value = plain(value)
    if isinstance(value, bool | complex | str | bytes | tuple | list | dict | set):
        raise InputError(f"{field} is {shown(value)}; it must be a number. {remedy}")
    if not isinstance(value, numbers.Real):
        return
    number = float(value)
    bounds = []
    if whole:
        bounds.append("a whole number")
    if above is not None:
        bounds.append(f"above {above:.10g}")
    if at_least is not None:
        bounds.append(f"at least {at_least:.10g}")
    if at_most is not None:
        bounds.append(f"at most {at_most:.10g}")
    if math.isinf(number) and not (infinite or whole):
        bounds.append("finite")
    good = (
        not math.isnan(number)
        and (infinite or not math.isinf(number))
        and (not whole or number.is_integer())
        and (above is None or number > above)
        and (at_least is None or number >= at_least)
        and (at_most is None or number <= at_most)
    )
    if not good:
        raise InputError(f"{field} is {value}; it must be {' and '.join(bounds)}. {remedy}")


def shown(value: object) -> str:
    """A value as a message shows it, however long or deep it is.

    >>> shown(["a" * 100, 3])
    "['aaaaaaaaaaaa...aaaaaaaaaaaaa', 3]"
    """
    return " ".join(reprlib.repr(value).split())


def whole_number(field: str, value: object, *, at_least: int, at_most: int | None = None, remedy: str) -> int:
    """A count as Python's own, whatever kind of number it is given as. **Raises** `InputError` where it is none.

    >>> whole_number("seeds", np.int64(4), at_least=1, remedy="4, say.")
    4
    """
    count = converted(field, value, int, remedy)
    check_number(field, count, at_least=at_least, at_most=at_most, whole=True, remedy=remedy)
    return count


def check_choice(field: str, value: object, choices: Sequence[object]) -> None:
    """Refuse a value that is none of `choices`.

    >>> check_choice("order", "random", ("sorted", "shuffled"))
    Traceback (most recent call last):
    steepest.core.errors.InputError: order is 'random'; it must be 'sorted' or 'shuffled'.
    """
    value = plain(value)
    if any(type(value) is type(each) and value == each for each in choices):
        return
    *others, last = map(repr, choices)
    listed = f"{', '.join(others)} or {last}" if others else last
    raise InputError(f"{field} is {shown(value)}; it must be {listed}.")


def check_start_of_log_std(gaussian: str, log_std: float) -> None:
    """Refuse a log σ at a bound that σ approaches without end: it would never move from there.

    **Raises** `InputError` where a head of this kind makes log σ of an output of the network, within soft bounds.
    """
    if gaussian in ("state_dependent", "squashed"):
        low, high = LOG_STD_BOUNDS
        remedy = f"At {low:g} and {high:g} a σ that depends on the state never moves; 0 is usual."
        check_number("log_std", log_std, at_least=low + _LOG_STD_MARGIN, at_most=high - _LOG_STD_MARGIN, remedy=remedy)


def plain(value: Any) -> Any:
    """A scalar of NumPy or JAX as Python's own; anything else, and whatever has no value yet, as it is.

    >>> plain(np.int64(4)), plain(np.array(0.5)), plain("4")
    (4, 0.5, '4')
    """
    if isinstance(value, np.str_):
        return str(value)
    if not (hasattr(value, "dtype") and hasattr(value, "__array__")) or np.shape(value) != ():
        return value
    try:
        return np.asarray(value).item()
    except TypeError:  # traced
        return value


def converted(name: str, value: Any, kind: Any, remedy: str) -> Any:
    """A value in the type of its field: scalars of NumPy and JAX become Python's, and a count of 4.0 becomes 4.

    Arrays that are traced stay as they are in fields that take them, so that they can be mapped over.

    **Arguments**

    - `kind`: the type in the field's annotation; `Any` for a number that may be traced.

    **Raises** `InputError` for a value of another type.

    >>> converted("epochs", np.float32(4), int, ""), converted("hidden", [64, np.int64(32)], tuple[int, ...], "")
    (4, (64, 32))
    >>> converted("anneal", "False", bool, "")
    Traceback (most recent call last):
    steepest.core.errors.InputError: anneal is 'False'; it must be True or False.
    """
    kinds = [typing.get_args(each)[0] if hasattr(each, "__metadata__") else each for each in _alternatives(kind)]
    if value is None and types.NoneType in kinds:
        return None
    kind, value = next(each for each in kinds if each is not types.NoneType), plain(value)
    traced = hasattr(value, "aval") and np.shape(value) == ()
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind in (int, float, Any):
        if isinstance(value, bool) or not isinstance(value, int | float):
            if not traced:
                what = "a whole number" if kind is int else "a number"
                raise InputError(f"{name} is {shown(value)}; it must be {what}. {remedy}".rstrip())
            if kind is not Any:
                raise InputError(f"{name} is traced, but it is part of the program. Give a number; map over others.")
            return value
        return value if kind is int else float(value)  # what is a number, but not whole, is left to the bound
    if kind is bool and not isinstance(value, bool):
        raise InputError(f"{name} is {shown(value)}; it must be True or False.")
    if kind is str:
        value = os.fspath(value) if isinstance(value, os.PathLike) else value
        if not isinstance(value, str):
            raise InputError(f"{name} is {shown(value)}; it must be a word. {remedy}".rstrip())
    if typing.get_origin(kind) is tuple:
        values: Any = value
        if isinstance(value, str) or not (isinstance(value, list | tuple) or np.ndim(value) == 1):
            raise InputError(f"{name} is {shown(value)}; it must be numbers, such as (64, 64). {remedy}".rstrip())
        one = typing.get_args(kind)[0]
        return tuple(converted(name, each, one, remedy) for each in values)
    return value


def _alternatives(kind: object) -> tuple[object, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def Help(text: str) -> object:  # noqa: N802  it stands where a class would, beside Bound
    """The sentence of help of a field, as the command line shows it."""
    return tyro.conf.arg(help=text)


@dataclasses.dataclass(frozen=True)
class Bound:
    """What a number may be.

    - `usual`: what to use in its place: the end of an error message.
    - `above`: an exclusive limit; `at_least`, `at_most`: inclusive ones.
    - `whole`: whether it is a count. `infinite`: whether it may be infinite.
    """

    usual: str
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    whole: bool = False
    infinite: bool = False

    def check(self, name: str, value: object) -> None:
        """**Raises** `InputError`, one line with the field, the value, the bound and the remedy."""
        if isinstance(value, tuple) and len(value) > _MOST:
            raise InputError(f"{name} has {len(value)} numbers; at most {_MOST} are possible. {self.usual}")
        limits = {name: limit for name, limit in vars(self).items() if name != "usual"}
        for each in value if isinstance(value, tuple) else (value,):
            if each is not None:
                check_number(name, each, **limits, remedy=self.usual)


@dataclasses.dataclass(frozen=True)
class Search:
    """Where good values of a hyper-parameter are found: the range that a search takes unless it is given another.

    - `low`, `high`: the range, ends included; of a count, powers of two are searched.
    - `log`: on a logarithmic scale. `complement`: what is searched, and on a logarithmic scale, is 1 less the value.
    - `factor`: no further from where the search begins than this factor; None for the whole range.
    - `choices`: a few values, in place of a range.

    **Raises** `ValueError` for a range that holds nothing.
    """

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    complement: bool = False
    factor: float | None = None
    choices: tuple[bool | float | str, ...] = ()

    def __post_init__(self):
        if not self.choices and not (self.low < self.high and (self.low > 0 or not self.log)):
            raise ValueError(f"a search from {self.low} to {self.high} has nothing to find")


@dataclasses.dataclass(frozen=True)
class Description:
    """A field of a dataclass: its name, its type without annotations, its default, its help, its bound.

    - `search`: where good values are found, if it is worth searching.
    """

    name: str
    kind: object
    default: object
    help: str
    bound: Bound | None
    search: Search | None = None

    @property
    def choices(self) -> tuple[object, ...]:
        """What it may be, where it is one of a few; empty elsewhere."""
        return typing.get_args(self.kind) if typing.get_origin(self.kind) is Literal else ()


@functools.cache
def describe(kind: type) -> tuple[Description, ...]:
    """The fields of a dataclass, in order."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except NameError:  # a class of the user's whose annotations mean something only where it was written
        hints = {}
    return tuple(_described(field, hints.get(field.name, object)) for field in dataclasses.fields(kind))


def _described(field: dataclasses.Field, hint: object) -> Description:
    notes = getattr(hint, "__metadata__", ())
    helps = [note.help for note in notes if getattr(note, "help", None)]
    bounds = [note for note in notes if isinstance(note, Bound)]
    searches = [note for note in notes if isinstance(note, Search)]
    return Description(
        field.name,
        typing.get_args(hint)[0] if notes else hint,
        field.default,
        helps[-1] if helps else "",
        bounds[0] if bounds else None,
        searches[0] if searches else None,
    )


def check_fields(given: object) -> None:
    """Bring every field of a dataclass into the type of its annotation, and check it: its choices, or its bound."""
    for each in describe(type(given)):
        usual = "" if each.bound is None else each.bound.usual
        kind = object if each.kind is Any and each.bound is None else each.kind
        value = converted(each.name, getattr(given, each.name), kind, usual)
        object.__setattr__(given, each.name, value)  # the dataclass may be frozen
        if each.choices:
            check_choice(each.name, value, each.choices)
        if each.bound is not None:
            each.bound.check(each.name, value)
