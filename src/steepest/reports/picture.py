"""What a picture shows, whoever draws it: curves over steps, or a row for each method."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

COLOURS = ("#0b62a8", "#c2410c", "#0f766e", "#9d2f7f", "#7a6000", "#5b4bb5", "#4b5563")
"""Of series one after the other, on white: each has a contrast of at least 4.5, and none is another one's red or green
to the eyes of people who do not tell these two apart. Series are labelled where they are drawn, too."""
DASHES = ("", "7 3", "2 3")
"""Of series beyond the last colour, which begin again with the first."""

LATE = 0.75
"""The share of an axis from which on there is room for a name only before a place."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`; `steps` writes thousands as k and millions as M."""

    label: str
    low: float
    high: float
    steps: bool = False

    def fraction(self, value: float | np.ndarray) -> np.ndarray:
        """Where a value lies between the two ends, as a share of the axis."""
        return np.asarray((np.asarray(value) - self.low) / (self.high - self.low))

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers on the axis, at most so many.

        >>> Axis("return", 0, 500).ticks()
        [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]
        """
        span = self.high - self.low
        power = 10.0 ** math.floor(math.log10(span / most))
        step = next(power * each for each in (1, 2, 2.5, 5, 10, 20) if span / (power * each) <= most - 1 + 1e-9)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return [float(f"{(first + index) * step:.10g}") for index in range(count)]

    def text(self, value: float) -> str:
        """A tick as it is written."""
        return short_steps(value) if self.steps else number(value)


@dataclasses.dataclass(frozen=True)
class Curve:
    """One method: `y` over `x`, from `low` to `high` where there is an interval, and every seed.

    - `name`: in full; `label`: as it stands beside the curve.
    - `trusted`: whether the interval comes from more than a few seeds.
    - `unfinished`: curves of seeds that count for nothing else: their x, and their y.
    """

    name: str
    label: str
    series: int
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    seeds: np.ndarray
    trusted: bool = True
    unfinished: Sequence[tuple[np.ndarray, np.ndarray]] = ()


@dataclasses.dataclass(frozen=True)
class Row:
    """One method: a value with its interval, and dots for seeds, each with what it is.

    - `hollow`: dots of seeds that count for nothing else.
    """

    name: str
    series: int
    value: float | None
    interval: Sequence[float] | None
    says: str
    dots: Sequence[tuple[float, str]] = ()
    hollow: Sequence[tuple[float, str]] = ()
    trusted: bool = True


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture.

    - `name`: of its file, and its id on the page. `title`: its heading. `describes`: the same in words, for those who
      do not see it.
    - `caption`: what the marks mean.
    - `warning`: what must stand in the picture itself; empty if nothing.
    - `y`, `curves`, or `rows`: what is drawn over `x`. `reference`: of rows, where a line goes through all of them.
    - `small`: whether others of its kind stand beside it.
    - `falling`: whether all curves fall from 1 to 0, and are told apart by names on their way, not at their ends.
    """

    name: str
    title: str
    describes: str
    caption: str
    warning: str
    x: Axis
    y: Axis | None = None
    curves: Sequence[Curve] = ()
    rows: Sequence[Row] = ()
    reference: float | None = None
    small: bool = False
    falling: bool = False


def axis(label: str, values: Sequence[float], *, steps: bool = False, from_zero: bool = False) -> Axis:
    """An axis that holds all values, with some room at its ends."""
    finite = [each for each in values if math.isfinite(each)] or [0.0]
    low, high = min(finite), max(finite)
    if from_zero:
        return Axis(label, 0.0, high or 1.0, steps)
    margin = 0.04 * (high - low) or 0.04 * abs(high) or 1.0
    return Axis(label, low - margin, high + margin, steps)


def number(value: float) -> str:
    """A number for people: a space of digits that suits its size.

    >>> [number(each) for each in (1234567.0, 499.96, 12.345, 0.05678, -0.0)]
    ['1,234,567', '500', '12.3', '0.057', '0']
    """
    size = abs(value)
    digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2 if size >= 0.995 else 3
    text = f"{value:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text.replace("-", "−")


def short_steps(value: float) -> str:
    """A number of steps as an axis has it.

    >>> short_steps(0), short_steps(20000), short_steps(1.5e6)
    ('0', '20k', '1.5M')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def interval_text(interval: Sequence[float] | None) -> str:
    """An interval in brackets; nothing where there is none.

    >>> interval_text([1, 2.5])
    '[1, 2.5]'
    """
    return "" if interval is None else f"[{number(interval[0])}, {number(interval[1])}]"


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= most else f"{text[: max(most - 1, 1)].rstrip(' ,')}…"


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places moved as little as need be so that they lie `gap` apart, between two ends if there is room.

    >>> spread([10.0, 11.0, 50.0], 5, 0, 100)
    [8.0, 13.0, 50.0]
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    groups: list[tuple[float, int]] = []  # the middle of a block of labels, and how many it has
    for index in order:
        groups.append((min(max(places[index], low), high), 1))
        while len(groups) > 1 and groups[-1][0] - groups[-2][0] < gap * (groups[-1][1] + groups[-2][1]) / 2:
            (right, some), (left, others) = groups.pop(), groups.pop()
            middle = (left * others + right * some) / (some + others)
            half = gap * (some + others - 1) / 2
            groups.append((min(max(middle, low + half), max(high - half, low + half)), some + others))
    moved = [middle + gap * (index - (count - 1) / 2) for middle, count in groups for index in range(count)]
    found = [0.0] * len(places)
    for index, place in zip(order, moved, strict=True):
        found[index] = place
    return found


def halfway(curve: Curve, place: int, count: int) -> tuple[float, float]:
    """Where the name of a falling curve stands, the `place`-th of `count`: each at another height."""
    height = 0.5 + 0.5 * ((count - 1) / 2 - place) / max(count, 2)
    below = np.flatnonzero(curve.y <= height)
    return float(curve.x[below[0] if len(below) else -1]), height


def jitter(values: Sequence[float], near: float) -> list[float]:
    """For each value a place between -1 and 1, so that those closer than `near` to each other lie apart.

    >>> jitter([1.0, 1.0, 5.0], 0.1)
    [0.0, 1.0, 0.0]
    """
    ladder = [0.0, 1.0, -1.0, 0.5, -0.5]
    placed: list[tuple[float, int]] = []
    found = [0.0] * len(values)
    for index in sorted(range(len(values)), key=lambda each: values[each]):
        taken = [rung for value, rung in placed if abs(value - values[index]) < near]
        rung = min(range(len(ladder)), key=lambda each: (taken.count(each), each))
        placed.append((values[index], rung))
        found[index] = ladder[rung]
    return found
