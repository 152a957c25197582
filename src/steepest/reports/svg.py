"""Pictures as SVG for the page, whose style sheet gives them their colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from steepest.reports.markup import Markup, element
from steepest.reports.picture import (
    COLOURS,
    DASHES,
    LATE,
    Axis,
    Curve,
    Picture,
    Row,
    halfway,
    jitter,
    shortened,
    spread,
)

Place = Callable[[float | np.ndarray], np.ndarray]
"""From values to places in a picture."""
_LETTER = 6.3
"""Width of a letter on average, in a picture's units."""
_LINE = 15
_ROW = 50


def draw(picture: Picture, width: int, *, suffix: str = "", hidden: bool = False) -> Markup:
    """A picture of so many units in width, and as high as it needs.

    **Arguments**

    - `suffix`: of its ids, where the page has the picture in two sizes.
    - `hidden`: from screen readers, where the other one describes it already.
    """
    top = 10 + (_LINE + 6 if picture.warning else 0)
    marks, height, plot = _curves(picture, width, top) if picture.curves else _rows(picture, width, top)
    title, describes = f"{picture.name}{suffix}-title", f"{picture.name}{suffix}-describes"
    warning = element("text", f"⚠ {picture.warning}", x=8, y=_LINE, class_="warning") if picture.warning else ""
    named = {"role": "img", "aria_labelledby": f"{title} {describes}"} if not hidden else {"aria_hidden": "true"}
    return element(
        "svg",
        element("title", picture.title, id=title) if not hidden else "",
        element("desc", picture.describes, id=describes) if not hidden else "",
        warning,
        marks,
        viewBox=f"0 0 {width} {_short(height)}",
        data_plot=" ".join(map(_short, plot)),
        class_="wide" if width >= 600 else "narrow",
        **named,
    )


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def series(index: int) -> str:
    """The class that gives a series its colour."""
    return f"s{index % len(COLOURS)}"


def dash(index: int) -> str | None:
    """How the line of a series is broken, where its colour was used before."""
    return DASHES[index // len(COLOURS) % len(DASHES)] or None


def _points(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> str:
    return " ".join(f"{_short(a)},{_short(b)}" for a, b in zip(x, y, strict=True))


def _curves(picture: Picture, width: int, top: int) -> tuple[list[Markup], float, tuple[float, ...]]:
    assert picture.y is not None
    y_ticks = [(value, picture.y.text(value)) for value in picture.y.ticks(7)]
    longest = 22 if width >= 600 else 14
    labels = [shortened(each.label, longest) for each in picture.curves]
    left = 26 + max(len(text) for _, text in y_ticks) * _LETTER
    right = width - 12 - (0 if picture.falling else max(map(len, labels), default=0) * _LETTER)
    height = (0.42 if width >= 600 else 0.62) * width
    bottom = top + height

    def across(values: float | np.ndarray) -> np.ndarray:
        return np.asarray(left + picture.x.fraction(values) * (right - left))

    def up(values: float | np.ndarray) -> np.ndarray:
        assert picture.y is not None
        return np.asarray(bottom - picture.y.fraction(values) * (bottom - top))

    grid = [
        mark
        for value, text in y_ticks
        for at in [_short(float(up(value)))]
        for mark in (
            element("line", x1=_short(left), x2=_short(right), y1=at, y2=at, class_="grid"),
            element("text", text, x=_short(left - 6), y=at, dy=4, class_="tick end"),
        )
    ]
    marks = [
        *grid,
        _x_axis(picture.x, left, right, bottom),
        element(
            "text",
            picture.y.label,
            transform=f"translate(12 {_short((top + bottom) / 2)}) rotate(-90)",
            class_="label middle",
        ),
    ]
    for each in picture.curves:
        marks += _faint(each, across, up)
    for each in picture.curves:
        if each.low is not None and each.high is not None:
            outline = np.concatenate([up(each.low), up(each.high)[::-1]])
            around = np.concatenate([across(each.x), across(each.x)[::-1]])
            marks.append(element("polygon", points=_points(around, outline), class_=f"band {series(each.series)}"))
    for each in picture.curves:
        if len(each.x):
            points, drawn = _points(across(each.x), up(each.y)), f"line {series(each.series)}"
            marks.append(element("polyline", points=points, class_=drawn, stroke_dasharray=dash(each.series)))
    marks += (
        _names_on_the_way(picture, labels, across, up)
        if picture.falling
        else _names_at_the_ends(picture, labels, across, up, right, (top + 4, bottom - 4))
    )
    return marks, bottom + 40, (left, right, top, bottom)


def _names_at_the_ends(
    picture: Picture, labels: Sequence[str], across: Place, up: Place, right: float, between: tuple[float, float]
) -> list[Markup]:
    marks = []
    ends = [float(up(float(each.y[-1]))) for each in picture.curves]
    for each, label, at, end in zip(picture.curves, labels, spread(ends, _LINE, *between), ends, strict=True):
        lead = f"M{_short(float(across(float(each.x[-1]))) + 1)},{_short(end)} L{_short(right + 4)},{_short(at)}"
        marks.append(element("path", d=lead, class_=f"lead {series(each.series)}"))
        marks.append(_name(each, label, right + 7, at + 4))
    return marks


def _names_on_the_way(picture: Picture, labels: Sequence[str], across: Place, up: Place) -> list[Markup]:
    places = [halfway(each, index, len(labels)) for index, each in enumerate(picture.curves)]
    marks = []
    for each, label, (x, y) in zip(picture.curves, labels, places, strict=True):
        before = float(picture.x.fraction(x)) > LATE
        at = float(across(x)) + (-6 if before else 6)
        marks.append(_name(each, label, at, float(up(y)) + 4, before=before))
    return marks


def _name(curve: Curve, label: str, x: float, y: float, *, before: bool = False) -> Markup:
    """The name of a curve at a place; one that stands `before` the place ends there."""
    full = element("title", curve.name) if label != curve.name else ""
    drawn = f"name halo {series(curve.series)}{' end' if before else ''}"
    return element("text", full, label, x=_short(x), y=_short(y), class_=drawn)


def _faint(curve: Curve, across: Place, up: Place) -> list[Markup]:
    drawn = f"faint {series(curve.series)}"
    marks = [element("polyline", points=_points(across(curve.x), up(seed)), class_=drawn) for seed in curve.seeds.T]
    return marks + [
        element("polyline", points=_points(across(x), up(y)), class_=f"{drawn} unfinished") for x, y in curve.unfinished
    ]


def _x_axis(axis: Axis, left: float, right: float, bottom: float) -> Markup:
    marks = [element("line", x1=_short(left), x2=_short(right), y1=_short(bottom), y2=_short(bottom), class_="axis")]
    for value in axis.ticks(max(3, min(7, int((right - left) / 58)))):
        at = _short(left + float(axis.fraction(value)) * (right - left))
        marks.append(element("line", x1=at, x2=at, y1=_short(bottom), y2=_short(bottom + 4), class_="axis"))
        marks.append(element("text", axis.text(value), x=at, y=_short(bottom + 17), class_="tick middle"))
    middle = _short((left + right) / 2)
    marks.append(element("text", axis.label, x=middle, y=_short(bottom + 34), class_="label middle"))
    return element("g", marks)


def _rows(picture: Picture, width: int, top: int) -> tuple[list[Markup], float, tuple[float, ...]]:
    left, right = 14.0, width - 14.0
    height = _ROW if any(row.dots or row.hollow for row in picture.rows) else _ROW - 8
    bottom = top + height * len(picture.rows) + 4

    def across(value: float) -> float:
        return left + float(picture.x.fraction(value)) * (right - left)

    marks = []
    for value in picture.x.ticks(max(3, min(7, int((right - left) / 58)))):
        at = _short(across(value))
        marks.append(element("line", x1=at, x2=at, y1=top, y2=_short(bottom), class_="grid"))
    if picture.reference is not None:
        at = _short(across(picture.reference))
        marks.append(element("line", x1=at, x2=at, y1=top, y2=_short(bottom), class_="reference"))
    for index, row in enumerate(picture.rows):
        marks += _row(row, across, top + index * height, height, int((right - left) / _LETTER))
    marks.append(_x_axis(picture.x, left, right, bottom))
    return marks, bottom + 40, (left, right, top, bottom)


def _row(row: Row, across: Callable[[float], float], y: float, height: float, letters: int) -> list[Markup]:
    colour = series(row.series)
    name = shortened(row.name, max(8, letters - len(row.says) - 3))
    marks = [
        element(
            "text",
            element("title", row.name) if name != row.name else "",
            element("tspan", name, class_=f"name {colour}"),
            element("tspan", f"  {row.says}", class_="says"),
            class_="halo",
            x=14,
            y=_short(y + 13),
        )
    ]
    middle = y + 13 + (height - 13) / 2 + 2
    if row.interval is not None:
        low, high = (across(each) for each in row.interval)
        drawn = f"interval {colour}{'' if row.trusted else ' few'}"
        marks.append(
            element("line", x1=_short(low), x2=_short(high), y1=_short(middle), y2=_short(middle), class_=drawn)
        )
    values = [across(value) for value, _ in (*row.dots, *row.hollow)]
    places = jitter(values, 9.0)
    for index, (value, says) in enumerate((*row.dots, *row.hollow)):
        kind = "dot" if index < len(row.dots) else "dot hollow"
        at = _short(middle + 8 * places[index])
        marks.append(element("circle", cx=_short(across(value)), cy=at, r=4, class_=f"{kind} {colour}", data_tip=says))
    if row.value is not None:
        at = _short(across(row.value))
        ends = {"x1": at, "x2": at, "y1": _short(middle - 9), "y2": _short(middle + 9)}
        marks.append(element("line", **ends, class_=f"value {colour}", data_tip=f"{row.name}\n{row.says}"))
    return marks
