"""Annotations of the fields of a dataclass: a sentence of help and a bound, read by whoever checks or shows them."""

import dataclasses
import functools
import typing
from typing import Literal

import tyro

from steepest.core.validation import check_choice, check_number


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
