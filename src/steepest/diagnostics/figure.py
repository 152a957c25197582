"""A comparison of estimators, as a picture."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from steepest.core.files import write_figure
from steepest.diagnostics.quality import BIASED
from steepest.diagnostics.rows import GradientComparison, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

_UNBIASED, _OTHER, _SHADE = "#2166ac", "#d6762b", "#bbbbbb"


def draw(comparison: GradientComparison, title: str, out: pathlib.Path) -> None:
    """One line for each estimator, with its noise, what that costs, its direction and its bias.

    Estimators are ordered by the steps that they need, the thriftiest first. Everything is relative to ‖∇J‖.

    **Arguments**

    - `out`: where to; the suffix decides the format.

    **Raises** `InputError` for a format that is unknown, `StorageFault` where it cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    # The thriftiest comes on top; what samples cannot show goes to the bottom.
    rows = sorted(comparison.rows, key=lambda row: (row.measurable, -comparison.steps_needed(row)))
    norm = comparison.reference.norm or 1.0
    height = np.arange(len(rows))
    colours = [_colour(row) for row in rows]
    known = np.array([row.measurable for row in rows])
    variance, error, needed, cosine = np.where(
        known,
        [
            [row.quality.variance for row in rows],
            [row.quality.variance_standard_error for row in rows],
            [comparison.steps_needed(row) for row in rows],
            [row.quality.cosine for row in rows],
        ],
        0,
    )
    error = np.divide(np.nan_to_num(error), variance, out=np.zeros_like(error), where=variance > 0)

    figure, panels = pyplot.subplots(
        1, 4, sharey=True, figsize=(14, 1.9 + 0.3 * len(rows)), layout="constrained", width_ratios=[1, 1, 0.8, 1.2]
    )
    noise, cost, direction, bias = panels
    # The error of a root is half the relative error of what is under it.
    deviation = np.sqrt(variance) / norm
    _bars(noise, height, deviation, colours, 1.96 * deviation * error / 2)
    noise.set_xlabel("noise of one estimate\n√variance / ‖∇J‖")
    _bars(cost, height, needed, colours, 1.96 * needed * error)
    cost.set_xlabel("environment steps until\nthe noise is as large as ∇J")
    direction.barh(height, cosine, 0.7, color=colours)
    direction.set_xlim(min(0, *cosine) * 1.05, 1)
    direction.set_xlabel("direction of one estimate\nmean cosine to ∇J")
    _biases(bias, height, rows, norm)
    bias.set_xlabel("bias: ‖mean − ∇J‖ / ‖∇J‖\nof all estimates together")

    for place in height[~known]:
        for panel in panels:
            panel.text(
                0.02, place, "weights too uneven", transform=panel.get_yaxis_transform(), va="center", fontsize=8
            )
    noise.set_yticks(height, [row.name.replace("_", " ") for row in rows])
    noise.set_ylim(-0.6, len(rows) - 0.4)
    for panel in panels:
        panel.grid(axis="x", alpha=0.3, linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(axis="y", length=0)
    point: dict[str, Any] = {"marker": "o", "linestyle": ""}
    keys = [
        Patch(color=_UNBIASED, label="estimates ∇J"),
        Patch(color=_OTHER, label="estimates something else"),
        Patch(color=_SHADE, label="bias that chance alone would show"),
        Line2D([], [], **point, color="black", label=f"bias found ({BIASED:g} standard errors or more)"),
        Line2D([], [], **point, color="black", markerfacecolor="white", label="no bias found"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    first = rows[0]
    figure.suptitle(
        f"{title}\nestimates of {first.episodes:,} episodes, {first.repeats:,} of each estimator; "
        f"reference: {comparison.reference.meaning}",
        fontsize=10,
    )
    try:
        write_figure(figure, out)
    finally:
        pyplot.close(figure)


def _bars(axes: Axes, height: np.ndarray, length: np.ndarray, colours: list[str], margin: np.ndarray) -> None:
    """Bars with 95 % intervals, on a logarithmic scale where they differ much."""
    shown = np.where(np.isfinite(length), length, 0)
    positive = shown[shown > 0]
    if positive.size and positive.max() > 20 * positive.min():
        axes.set_xscale("log")
        axes.set_xlim(positive.min() / 2, positive.max() * 2)
    # A lower end below 0 has no place on a logarithmic scale.
    below = np.minimum(margin, 0.9 * shown)
    axes.barh(height, shown, 0.7, color=colours)
    axes.errorbar(shown, height, xerr=[below, margin], fmt="none", ecolor="black", elinewidth=0.9, capsize=2)


def _biases(axes: Axes, height: np.ndarray, rows: Sequence[Row], norm: float) -> None:
    """The bias as a point, beside a bar as long as chance alone would make it."""
    found = np.array([row.quality.bias if row.measurable else 0 for row in rows]) / norm
    chance = np.nan_to_num(np.array([row.quality.bias_by_chance if row.measurable else 0 for row in rows])) / norm
    low = min([*found[found > 0], *chance[chance > 0]], default=0.1)
    high = max([*found, *chance, low])
    if high > 20 * low:
        axes.set_xscale("log")
        axes.set_xlim(low / 2, high * 4)
    else:
        axes.set_xlim(0, high * 1.3)
    axes.barh(height, chance, 0.7, color=_SHADE)
    for place, row, value in zip(height, rows, found, strict=True):
        if row.measurable:
            filling = _colour(row) if row.verdict == "biased" else "white"
            axes.plot(value, place, "o", color=_colour(row), markerfacecolor=filling)


def _colour(row: Row) -> str:
    return _OTHER if row.estimates == "other" else _UNBIASED
