"""Checks of what was given, where it is given: the field, its value, its bound and what to do."""

import dataclasses
import functools
import math
import numbers
import typing

from steepest.core.errors import InputError


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
        raise InputError(f"{field} is {value!r}; it must be a number. {remedy}")
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


def check_choices(given: object) -> None:
    """Refuse a field of a data class that is none of the `Literal` values it is declared with.

    >>> @dataclasses.dataclass
    ... class Sampler:
    ...     order: typing.Literal["sorted", "shuffled"] = "sorted"
    >>> check_choices(Sampler("random"))
    Traceback (most recent call last):
    steepest.core.errors.InputError: order is 'random'; it must be 'sorted' or 'shuffled'.
    """
    for field, choices in _choices(type(given)).items():
        value = getattr(given, field)
        if value not in choices:
            *others, last = map(repr, choices)
            listed = f"{', '.join(others)} or {last}" if others else last
            raise InputError(f"{field} is {value!r}; it must be {listed}.")


@functools.cache
def _choices(kind: type) -> dict[str, tuple]:
    try:
        hints = typing.get_type_hints(kind)
    except NameError:  # a class of the user's whose annotations mean something only where it was written
        return {}
    named = {field.name: hints[field.name] for field in dataclasses.fields(kind)}
    return {name: typing.get_args(hint) for name, hint in named.items() if typing.get_origin(hint) is typing.Literal}
