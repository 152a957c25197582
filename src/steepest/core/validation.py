"""Checks of what was given, where it is given: the field, its value, its bound and what to do."""

import math
import numbers
from collections.abc import Sequence

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
    raise InputError(f"{field} is {value!r}; it must be {listed}.")
