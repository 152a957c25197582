"""Pictures of a search: what each hyper-parameter did to the return, and the best trials on fresh seeds."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from steepest.core.files import write_figure
from steepest.studies.answer import Answer, Contender
from steepest.studies.ranges import Range
from steepest.studies.trials import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 4
_BLUE, _GREY, _ORANGE = "#1f77b4", "#9a9a9a", "#d95f02"


def draw_trials(
    trials: Sequence[Trial], space: Sequence[Range], title: str, out: pathlib.Path, best: Sequence[int] = ()
) -> None:
    """One panel for each hyper-parameter that was searched: its value in every trial, and the mean return.

    **Arguments**

    - `best`: numbers of trials to point out.
    """
    from matplotlib.figure import Figure

    told = [each for each in trials if each.returns]
    rows = math.ceil(len(space) / _COLUMNS)
    columns = min(_COLUMNS, len(space))
    figure = Figure(figsize=(3.1 * columns + 0.6, 2.9 * rows + 0.9), layout="constrained")
    panels = np.ravel(figure.subplots(rows, columns, sharey=True, squeeze=False))
    for panel, each in zip(panels, space, strict=False):
        _slice(panel, each, told, best)
    for panel in panels[len(space) :]:
        panel.set_axis_off()
    for panel in panels[::columns]:
        panel.set_ylabel("mean return")
    _legend(figure, panels[0], told, best)
    figure.suptitle(title, fontsize=11)
    write_figure(figure, out)


def _slice(panel: Axes, searched: Range, told: Sequence[Trial], best: Sequence[int]) -> None:
    """One hyper-parameter."""
    if searched.choices:
        places = {each: index for index, each in enumerate(searched.choices)}
        words = [" ".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in searched.choices]
        panel.set_xticks(range(len(words)), words, rotation=30 if max(map(len, words)) > 4 else 0)
        panel.set_xlim(-0.5, len(words) - 0.5)

        def place(trial: Trial) -> float:
            value = trial.hyper[searched.name]
            if value in places:
                return places[value]
            numbers = [each for each in searched.choices if isinstance(each, int | float)]  # it was made to fit
            return float(np.interp(float(str(value)), numbers, range(len(numbers)))) if numbers else 0.0
    else:

        def place(trial: Trial) -> float:
            value = float(str(trial.hyper[searched.name]))
            return 1 - value if searched.complement else value

        _scale(panel, searched)
    for state, label, inside, edge in (
        ("pruned", "ended early", "none", _GREY),
        ("complete", "all seeds", _BLUE, "none"),
    ):
        some = [each for each in told if each.state == state and searched.name in each.hyper]
        at, means = [place(each) for each in some], [each.mean for each in some]
        panel.scatter(at, means, s=26, facecolors=inside, edgecolors=edge, label=label)
    first = [each for each in told if each.number == 0 and searched.name in each.hyper]
    if first:
        panel.axvline(place(first[0]), color=_GREY, linewidth=0.8, linestyle=":", label="where it began")
    some = [each for each in told if each.number in best and searched.name in each.hyper]
    if some:
        panel.scatter(
            [place(each) for each in some],
            [each.mean for each in some],
            s=80,
            facecolors="none",
            edgecolors=_ORANGE,
            linewidths=1.4,
            label="trained again",
        )
    panel.set_xlabel(searched.key.replace("_", " ").replace("1 - ", "1 − "))
    panel.grid(alpha=0.25)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


def _scale(panel: Axes, searched: Range) -> None:
    """The whole range that was searched, with ticks that can be read."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    low, high = (1 - searched.high, 1 - searched.low) if searched.complement else (searched.low, searched.high)
    if not (searched.log or searched.complement):
        margin = 0.04 * (high - low)
        panel.set_xlim(low - margin, high + margin)
        panel.locator_params(axis="x", nbins=4)
        return
    decades = math.log10(high / low)
    panel.set_xscale("log")
    panel.set_xlim(low * 10 ** (-0.04 * decades), high * 10 ** (0.04 * decades))
    panel.xaxis.set_major_locator(
        LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0) if decades < 1.5 else (1.0, 3.0))
    )
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, panel: Axes, told: Sequence[Trial], best: Sequence[int]) -> None:
    handles, labels = panel.get_legend_handles_labels()
    shown = {
        "ended early": any(each.state == "pruned" for each in told),
        "trained again": any(each.number in best for each in told),
    }
    kept = [(one, text) for one, text in zip(handles, labels, strict=True) if shown.get(text, True)]
    figure.legend(*zip(*kept, strict=True), loc="outside lower center", ncols=len(kept), frameon=False, fontsize=9)


def draw_answer(answer: Answer, title: str, out: pathlib.Path) -> None:
    """The best trials and the defaults on fresh seeds: every seed a dot, the interquartile mean with its interval."""
    from matplotlib.figure import Figure

    shown: list[Contender] = [each for each in (*answer.contenders, *answer.defaults) if each.returns]
    figure = Figure(figsize=(7.0, 0.5 * len(shown) + 1.5), layout="constrained")
    panel = figure.subplots()
    for row, each in enumerate(shown):
        color = _ORANGE if each is answer.best else _GREY if each in answer.defaults else _BLUE
        spread = np.linspace(-0.16, 0.16, len(each.values)) if len(each.values) > 1 else np.zeros(1)
        panel.scatter(each.values, row + spread, s=16, color=color, alpha=0.55, edgecolors="none")
        low, high = each.interval
        panel.plot([low, high], [row, row], color=color, linewidth=2.5, solid_capstyle="round")
        panel.scatter([each.iqm], [row], s=46, color=color, edgecolors="white", zorder=3)
    panel.set_yticks(range(len(shown)), [each.title for each in shown])
    panel.invert_yaxis()
    panel.set_xlabel("mean return of a seed's last policy; interquartile mean and its 95% interval")
    panel.grid(axis="x", alpha=0.25)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    panel.set_title(title, fontsize=11)
    write_figure(figure, out)
