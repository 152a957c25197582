"""What a search tries: for each hyper-parameter a range, and values from it that an algorithm can use. No JAX here.

Ranges come from the vocabulary, `steepest.algorithms.fields`, and lie around the value that the search begins with.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from steepest.algorithms import HyperParameters
from steepest.core.errors import InputError, unknown
from steepest.core.spaces import Box, Space
from steepest.core.validation import Description, Search, check_fields, describe, shown

Value = bool | int | float | str | tuple[int, ...]
Plain = bool | int | float | str
"""What Optuna keeps as a choice."""
Which = Literal["rates", "all"]
_DIGITS = 3
"""Of a number that is tried: more would be noise, and are long to read."""


@runtime_checkable
class Suggests(Protocol):
    """What draws values: a trial of Optuna."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Range:
    """Where one hyper-parameter is searched.

    - `name`: of the hyper-parameter.
    - `low`, `high`: ends included. `log`: on a logarithmic scale, which for `complement` is that of 1 less the value.
    - `choices`: a few values in place of a range; counts are searched in that way.
    - `rate`: whether trials that differ in it share their program.

    >>> Range("discount", 0.9, 0.999, complement=True).key
    '1 - discount'
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    complement: bool = False
    choices: tuple[Value, ...] = ()
    rate: bool = False

    @property
    def key(self) -> str:
        """What is drawn, in words."""
        return f"1 - {self.name}" if self.complement else self.name

    @property
    def text(self) -> str:
        """The range, as people write it."""
        if self.choices:
            return f"{self.name} of {', '.join(map(_word, self.choices))}"
        return f"{self.name} from {self.low:g} to {self.high:g}"

    def draw(self, trial: Suggests) -> Value:
        """A value that has few digits."""
        if self.choices:
            return _from_word(trial.suggest_categorical(self.key, [_plain(each) for each in self.choices]))
        if self.complement:
            drawn = trial.suggest_float(self.key, _rounded(1 - self.high), _rounded(1 - self.low), log=True)
            return round(1 - _rounded(drawn), 6)
        drawn = trial.suggest_float(self.key, self.low, self.high, log=self.log)
        return min(max(_rounded(drawn), self.low), self.high)

    def drawn(self, value: Value | None) -> object:
        """What must be drawn to get a value, or the nearest that there is."""
        if self.choices:
            if value in self.choices:
                return _plain(value)
            if not isinstance(value, int | float):
                return _plain(self.choices[0])
            number = float(value)
            numbers = [each for each in self.choices if isinstance(each, int | float)]
            return _plain(min(numbers, key=lambda each: abs(each - number), default=self.choices[0]))
        number = self.low if value is None else min(max(float(str(value)), self.low), self.high)
        return _rounded(1 - number) if self.complement else number

    def dump(self) -> dict[str, object]:
        """As JSON takes it."""
        return dataclasses.asdict(self)

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Range:
        """Undo `dump`. **Raises** `InputError` where it is none."""
        try:
            choices = tuple(tuple(each) if isinstance(each, list) else each for each in content["choices"])
            return cls(**{**content, "choices": choices})
        except (KeyError, TypeError) as error:
            raise InputError(f"range {shown(content)}: {error}. Restore the file from a copy.") from error


def search_space(
    begin: HyperParameters,
    *,
    which: Which = "all",
    asked: Sequence[str] = (),
    given: Sequence[str] = (),
    action: Space | None = None,
) -> tuple[Range, ...]:
    """What of an algorithm is searched, and where.

    **Arguments**

    - `begin`: where the search begins. What is switched off there stays off, and so does what has no effect there.
    - `which`: `rates` are the numbers that trials can differ in which share a program; `all` are counts and choices
      too.
    - `asked`: in place of all these, `name=low..high`, `name=a,b,c`, or a name alone, whose range is the vocabulary's.
    - `given`: names that have the value they were given.
    - `action`: the space of actions.

    >>> from steepest import PPO
    >>> [each.name for each in search_space(PPO(), which="rates")][:3]
    ['discount', 'gae_lambda', 'clip_radius']
    >>> search_space(PPO(), asked=["epochs=2..8", "learning_rate=1e-4..1e-2"])[0].choices
    (2, 4, 8)

    **Raises** `InputError` for what cannot be searched.
    """
    known = {each.name: each for each in describe(type(begin))}
    if asked:
        found = [_asked(text, begin, known) for text in asked]
        twice = next((each.name for each in found if [one.name for one in found].count(each.name) > 1), None)
        if twice is not None:
            raise InputError(f"search: {twice} is there twice. Leave one out.")
    else:
        idle = {*given, *_without_effect(begin, action)}
        found = [
            _usual(each, getattr(begin, each.name))
            for each in known.values()
            if each.search is not None and each.name not in idle and not _off(each, getattr(begin, each.name))
        ]
        found = [each for each in found if which == "all" or each.rate]
    if not found:
        raise InputError(f"search: nothing of {begin.name} is left to search. Name something: learning_rate, say.")
    return tuple(found)


def sampled(begin: HyperParameters, space: Sequence[Range], trial: Suggests) -> dict[str, Value]:
    """Draw a value of everything that is searched; together they are hyper-parameters that the algorithm can have."""
    return mended(begin, {each.name: each.draw(trial) for each in space})


def mended(begin: HyperParameters, drawn: Mapping[str, Value]) -> dict[str, Value]:
    """Values that fit each other, and are otherwise as they were drawn.

    A size of minibatches becomes the nearest that divides the rows of an update, a number of gradient steps for each
    step the nearest that makes it a whole number for an update, and a buffer holds an update at least.
    """
    found = dict(drawn)

    def value(name: str) -> Any:
        return found.get(name, getattr(begin, name, None))

    if value("num_envs") is None or value("segment_length") is None:
        return found
    rows = value("num_envs") * value("segment_length")
    if size := value("minibatch_size"):
        found["minibatch_size"] = min(_divisors(rows), key=lambda each: (abs(math.log(each / size)), each))
    if ratio := value("replay_ratio"):
        found["replay_ratio"] = max(1, round(ratio * rows)) / rows
    if capacity := value("capacity"):
        # A buffer of the newest segment stays one, and an update must fit into any.
        newest = capacity == getattr(begin, "num_envs", 0) * getattr(begin, "segment_length", 0)
        found["capacity"] = rows if newest else max(capacity, rows)
        for name, most in (("batch_size", found["capacity"]), ("return_steps", found["capacity"] // value("num_envs"))):
            if value(name):
                found[name] = min(value(name), most)
    begun = {name: getattr(begin, name, None) for name in found}
    return {name: each for name, each in found.items() if name in drawn or each != begun[name]}


def _divisors(number: int) -> list[int]:
    small = [each for each in range(1, math.isqrt(number) + 1) if number % each == 0]
    return sorted({*small, *(number // each for each in small)})


def program(space: Sequence[Range], drawn: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    """What a program is compiled for; trials where it is the same share theirs."""
    rates = {each.name for each in space if each.rate}
    return tuple(sorted((name, value) for name, value in drawn.items() if name not in rates))


def _usual(field: Description, begin: Value | None) -> Range:
    """The range of the vocabulary around the value that the search begins with."""
    search = field.search
    assert search is not None
    if search.choices:
        return Range(field.name, choices=_ordered({*search.choices, *([] if begin is None else [begin])}))
    low, high, number = search.low, search.high, None if begin is None else float(str(begin))
    if search.factor is not None and number:
        low, high = max(low, _rounded(number / search.factor, 2)), min(high, _rounded(number * search.factor, 2))
    if number is not None:
        low, high = min(low, number), max(high, number)
    if _is_count(field):
        return Range(field.name, choices=_ordered({*_powers(low, high), *([] if number is None else [int(number)])}))
    return _between(field, search, low, high)


def _between(field: Description, search: Search, low: float, high: float) -> Range:
    log = search.log and low > 0
    return Range(field.name, float(low), float(high), log, search.complement and high < 1, rate=is_rate(field))


def _asked(text: str, begin: HyperParameters, known: Mapping[str, Description]) -> Range:
    """What was asked for in words."""
    name, equals, words = (part.strip() for part in text.partition("="))
    name = name.replace("-", "_")
    if name not in known:
        raise unknown(f"hyper-parameter of {begin.name}", name, known)
    field = known[name]
    search = field.search or Search(0, 1)
    if not equals:
        if field.search is None:
            raise InputError(f"search: {name} has no range of its own. Give one: {name}=low..high, or {name}=a,b.")
        value = getattr(begin, name)
        return _usual(field, search.low if _off(field, value) and not search.choices else value)
    low, dots, high = words.partition("..")
    if not dots:
        return Range(name, choices=tuple(_word_of(field, each.strip(), begin) for each in words.split(",")))
    try:
        bounds = float(low), float(high)
    except ValueError:
        bounds = math.nan, math.nan
    if not (math.isfinite(bounds[0]) and math.isfinite(bounds[1]) and bounds[0] < bounds[1]):
        raise InputError(
            f"search: {name} is {words!r}; it must be two numbers, the lower one first, such as {name}=1e-4..1e-2."
        )
    if _bare(field.kind) not in (Any, int, float):
        raise InputError(f"search: {name} is no number. Give choices: {name}=a,b.")
    for each in bounds:
        _check(field, int(each) if _is_count(field) and each.is_integer() else each, begin)
    if _is_count(field):
        return Range(name, choices=_ordered({*_powers(*bounds), *map(int, bounds)}))
    logarithmic = dataclasses.replace(search, low=bounds[0], high=bounds[1], choices=(), log=search.log)
    return _between(field, logarithmic, *bounds)


def _word_of(field: Description, word: str, begin: HyperParameters) -> Value:
    """A value from a word, in the type of its field. **Raises** `InputError` for what the field cannot be."""
    kind = _bare(field.kind)
    value: Any = word
    try:
        if kind is bool:
            value = {"true": True, "false": False}[word.lower()]
        elif kind is int:
            value = int(float(word)) if float(word).is_integer() else float(word)
        elif kind in (float, Any):
            value = float(word)
        elif typing.get_origin(kind) is tuple:
            value = tuple(int(each) for each in word.split())
        elif field.choices:
            value = next(each for each in field.choices if str(each) == word)
    except (ValueError, KeyError, OverflowError, StopIteration):
        value = word
    _check(field, value, begin)
    return value


def _check(field: Description, value: object, begin: HyperParameters) -> None:
    """**Raises** `InputError` for a value that the field cannot have, whatever the others are."""
    one = dataclasses.make_dataclass(
        "One", [(field.name, typing.get_type_hints(type(begin), include_extras=True)[field.name])]
    )
    try:
        check_fields(one(value))
    except InputError as error:
        raise InputError(f"search: {error}") from None


def is_rate(field: Description) -> bool:
    """Whether it is a number that is no part of the program: training can be mapped over it."""
    return _bare(field.kind) is Any


def _is_count(field: Description) -> bool:
    return _bare(field.kind) is int


def _bare(kind: object) -> object:
    """The type without annotations and without None."""
    while typing.get_origin(kind) in (typing.Annotated, typing.Union, types.UnionType):
        kind = next(each for each in typing.get_args(kind) if each is not types.NoneType)
    return kind


def _off(field: Description, value: object) -> bool:
    """Whether it is switched off: there is none, or it is infinite, or future rewards are not discounted at all."""
    complement = field.search is not None and field.search.complement
    return value is None or value in (math.inf, -math.inf) or (complement and value == 1)


def _without_effect(begin: HyperParameters, action: Space | None) -> set[str]:
    """Names that change nothing, as other values are."""
    idle = set()
    if not getattr(begin, "shared_network", False):
        idle.add("value_coefficient")
    if action is not None and not isinstance(action, Box):
        idle |= {"log_std", "noise_log_std", "gaussian"}
    if isinstance(action, Box):
        idle.add("uniform_share")
    if getattr(begin, "n_step", None) is not None:
        idle.add("gae_lambda")
    if getattr(begin, "exploration", "") == "uniform":
        idle.add("noise_log_std")
    if getattr(begin, "restricted_radius", None) is not None:
        idle.add("learning_rate")
    if getattr(begin, "policy", "network") != "network":
        idle.add("activation")
    return idle


def _powers(low: float, high: float) -> list[int]:
    return [2**each for each in range(math.ceil(math.log2(max(low, 1))), math.floor(math.log2(high)) + 1)]


def _ordered(values: set[Value]) -> tuple[Value, ...]:
    return tuple(sorted(values, key=lambda each: (str(type(each)), each)))


def _rounded(value: float, digits: int = _DIGITS) -> float:
    return float(f"{value:.{digits}g}")


def _plain(value: Value) -> Plain:
    """As Optuna keeps a choice."""
    return _word(value) if isinstance(value, tuple) else value


def _word(value: Value) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _from_word(value: Plain) -> Value:
    """Undo `_plain`: among the choices, only widths of layers are numbers in a text."""
    if isinstance(value, str) and (not value or value[0].isdigit()):
        return tuple(int(each) for each in value.split())
    return value
