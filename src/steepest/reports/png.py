"""Pictures as PNG, for slides and papers: what the page shows, drawn by matplotlib."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import numpy as np

from steepest.core.files import write_figure
from steepest.reports.picture import COLOURS, DASHES, LATE, Picture, Row, halfway, jitter, shortened, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 7.0
"""Inches."""
_WARNING = "#a33a00"


def draw(picture: Picture, path: pathlib.Path) -> None:
    """Write a picture. **Raises** `StorageFault` where it cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = 4.2 if picture.curves else 1.4 + 0.55 * len(picture.rows)
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    (_curves if picture.curves else _rows)(axes, picture)
    axes.set_title(
        picture.title, parse_math=False, loc="left", fontsize=11, fontweight="bold", pad=20 if picture.warning else 8
    )
    if picture.warning:
        axes.text(0, 1.02, picture.warning, transform=axes.transAxes, fontsize=8.5, color=_WARNING, parse_math=False)
    axes.set_xlabel(picture.x.label)
    axes.set_xlim(picture.x.low, picture.x.high)
    ticks = picture.x.ticks(7)
    axes.set_xticks(ticks, [picture.x.text(each) for each in ticks])
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    write_figure(figure, path)


def _style(series: int) -> tuple[str, str]:
    """The colour of a series, and how its line is broken."""
    broken = DASHES[series // len(COLOURS) % len(DASHES)]
    return COLOURS[series % len(COLOURS)], {"": "-", "7 3": "--", "2 3": ":"}[broken]


def _curves(axes: Axes, picture: Picture) -> None:
    assert picture.y is not None
    for each in picture.curves:
        colour, line = _style(each.series)
        if each.seeds.shape[1]:
            axes.plot(each.x, each.seeds, color=colour, linewidth=0.6, alpha=0.35)
        for x, y in each.unfinished:
            axes.plot(x, y, color=colour, linewidth=0.6, alpha=0.5, linestyle="--")
        if each.low is not None and each.high is not None:
            axes.fill_between(each.x, each.low, each.high, color=colour, alpha=0.16, linewidth=0)
        axes.plot(each.x, each.y, color=colour, linewidth=1.9, linestyle=line)
    axes.set_ylim(picture.y.low, picture.y.high)
    axes.set_ylabel(picture.y.label)
    if picture.falling:
        for place, each in enumerate(picture.curves):
            x, y = halfway(each, place, len(picture.curves))
            named = {"color": _style(each.series)[0], "fontsize": 9.5, "va": "center", "parse_math": False}
            behind = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1}
            side = "right" if float(picture.x.fraction(x)) > LATE else "left"
            axes.text(x, y, f" {shortened(each.label, 30)} ", ha=side, bbox=behind, **named)
        return
    ends = [float(each.y[-1]) for each in picture.curves]
    gap = 0.052 * (picture.y.high - picture.y.low)
    for each, place in zip(picture.curves, spread(ends, gap, picture.y.low, picture.y.high), strict=True):
        words = f"  {shortened(each.label, 30)}"
        options = {"va": "center", "fontsize": 9.5, "parse_math": False}
        axes.text(picture.x.high, place, words, color=_style(each.series)[0], **options)


def _rows(axes: Axes, picture: Picture) -> None:
    axes.set_yticks([])
    axes.set_ylim(len(picture.rows) - 0.35, -0.65)
    if picture.reference is not None:
        axes.axvline(picture.reference, color="0.4", linewidth=1, linestyle="--")
    for place, row in enumerate(picture.rows):
        _row(axes, row, place, near=0.02 * (picture.x.high - picture.x.low))


def _row(axes: Axes, row: Row, place: int, near: float) -> None:
    colour, _ = _style(row.series)
    words = f"{shortened(row.name, 60)}   "
    across, options = axes.get_yaxis_transform(), {"va": "center", "parse_math": False}
    named = axes.text(0, place - 0.36, words, transform=across, color=colour, fontsize=9.5, **options)
    axes.annotate(row.says, (1, 0.5), xycoords=named, fontsize=9, color="0.3", **options)
    if row.interval is not None:
        style = "-" if row.trusted else (0, (1.2, 0.5))
        axes.plot(
            row.interval, [place, place], color=colour, linewidth=5, alpha=0.35, linestyle=style, solid_capstyle="butt"
        )
    values = [value for value, _ in (*row.dots, *row.hollow)]
    if values:
        heights = place + 0.14 * np.array(jitter(values, near))
        filled = len(row.dots)
        axes.scatter(values[:filled], heights[:filled], s=22, color=colour, alpha=0.75, linewidth=0, zorder=3)
        axes.scatter(values[filled:], heights[filled:], s=22, facecolor="none", edgecolor=colour, zorder=3)
    if row.value is not None:
        axes.plot([row.value, row.value], [place - 0.17, place + 0.17], color=colour, linewidth=2.4, zorder=4)
