"""Checks of numbers and choices where they are given, and annotations of fields that say what to check."""

import dataclasses
import functools
import math
import numbers
import reprlib
import typing
from collections.abc import Sequence
from typing import Literal

import tyro

from steepest.core.errors import InputError

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

    Traced values pass unseen: a hyper-parameter may be an array under `jax.vmap`.

    >>> check_number("discount", 1.5, at_least=0, at_most=1, remedy="0.99 is usual.")
    Traceback (most recent call last):
    steepest.core.errors.InputError: discount is 1.5; it must be at least 0 and at most 1. 0.99 is usual.
    """
    if isinstance(value, str | bytes | tuple | list | dict):
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


def check_choice(field: str, value: object, choices: Sequence[object]) -> None:
    """Refuse a value that is none of `choices`.

    >>> check_choice("order", "random", ("sorted", "shuffled"))
    Traceback (most recent call last):
    steepest.core.errors.InputError: order is 'random'; it must be 'sorted' or 'shuffled'.
    """
    if value in choices:
        return
    *others, last = map(repr, choices)
    listed = f"{', '.join(others)} or {last}" if others else last
    raise InputError(f"{field} is {shown(value)}; it must be {listed}.")


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
class Description:
    """A field of a dataclass: its name, its type without annotations, its default, its help, its bound."""

    name: str
    kind: object
    default: object
    help: str
    bound: Bound | None

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
    kind = typing.get_args(hint)[0] if notes else hint
    return Description(field.name, kind, field.default, helps[-1] if helps else "", bounds[0] if bounds else None)


def check_fields(given: object) -> None:
    """Check every field of a dataclass against its annotation: its choices, or its bound."""
    for each in describe(type(given)):
        value = getattr(given, each.name)
        if each.choices:
            check_choice(each.name, value, each.choices)
        if each.bound is not None:
            each.bound.check(each.name, value)
