"""Figures of T6, T7, T8, T10 and T11."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steepest.core.files import write_figure
from steepest.theorems import baselines, bootstrapping, directions, greedy, two_actions

if TYPE_CHECKING:
    from types import ModuleType

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLAIN, NATURAL, THIRD = "#c1440e", "#1f6f8b", "#6b6b6b"


def draw(chosen: list[str], directory: pathlib.Path, seed: int) -> list[pathlib.Path]:
    """Draw the figures of the chosen theorems that have one, as PNG files, and return their paths.

    **Raises** `StorageFault` for a directory that cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    written = []
    for id, (name, picture) in FIGURES.items():  # noqa: A001
        if id not in chosen:
            continue
        path = directory / f"{id}-{name}.png"
        figure = picture(pyplot, seed)
        try:
            write_figure(figure, path)
        finally:
            pyplot.close(figure)
        written.append(path)
    return written


def _clean(*panels: Axes) -> None:
    for axes in panels:
        axes.grid(alpha=0.3, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)


def _two_actions(pyplot: ModuleType, seed: int) -> Figure:
    figure, (curves, steps) = pyplot.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
    rate = two_actions.LEARNING_RATE
    for start, style in ((two_actions.START, "-"), (-4.0, "--")):
        for kind, colour in (("natural", NATURAL), ("plain", PLAIN)):
            label = f"{kind} gradient, from θ = −{-start:g}"
            curves.plot(two_actions.climb(kind, start), style, color=colour, linewidth=2, label=label)
    curves.set_xlabel("number of updates")
    curves.set_ylabel("performance J = 100 π₁ + π₂ (reward)")
    curves.set_title(f"ascent with learning rate η = {rate:g}", fontsize=10)
    curves.legend(frameon=False, fontsize=8.5, loc="center right")
    theta = np.linspace(-10, 10, 200)
    steps.plot(theta, np.full_like(theta, 99 * rate), color=NATURAL, linewidth=2, label="natural: 99 η, everywhere")
    plain = 99 * rate * np.exp(theta) / (1 + np.exp(theta)) ** 2
    steps.plot(theta, plain, color=PLAIN, linewidth=2, label="plain: 99 η eᶿ / (1 + eᶿ)²")
    steps.set_yscale("log")
    steps.set_ylim(1e-5, 8)
    steps.set_xlabel("θ (log-odds of the better action)")
    steps.set_ylabel("change of θ in one update")
    steps.set_title("how far one update goes", fontsize=10)
    steps.legend(frameon=False, fontsize=8.5, loc="lower center")
    _clean(curves, steps)
    figure.suptitle("Two actions: the natural gradient walks where the plain one stands still")
    return figure


def _directions(pyplot: ModuleType, seed: int) -> Figure:
    figure, panels = pyplot.subplots(1, 2, figsize=(10, 4.6), layout="constrained", sharey=True)
    best = directions.starting_at_rest().optimal_gain().item()
    gain, std = np.meshgrid(np.linspace(-1.05, -0.15, 15), np.linspace(0.025, 0.4, 13))
    fields = directions.fields(gain.ravel(), std.ravel())
    for axes, field, colour, name in zip(panels, fields, (PLAIN, NATURAL), ("plain", "natural"), strict=True):
        length = np.hypot(*field)
        axes.quiver(
            gain, std, *(field / length), color=colour, angles="xy", scale=24, width=0.0038, headwidth=4, zorder=2
        )
        label = f"optimum: k* = −{-best:.2f}, σ = 0"
        axes.plot([best], [0], "*", markersize=17, color="black", clip_on=False, zorder=4, label=label)
        axes.set_ylim(0, 0.42)
        axes.set_xlim(-1.13, -0.07)
        axes.set_xlabel("gain k (action per state)")
        axes.set_title(f"direction of the {name} gradient", fontsize=10)
        _clean(axes)
    panels[0].set_ylabel("deviation σ of the action")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", frameon=False, fontsize=9.5)
    figure.suptitle("Linear-quadratic problem: the plain gradient shrinks σ, the natural one improves k")
    return figure


def _greedy(pyplot: ModuleType, seed: int) -> Figure:
    figure, axes = pyplot.subplots(figsize=(7.5, 4.2), layout="constrained")
    fitted, limited = greedy.fitted_policy_iteration().performance, greedy.limited_steps()
    rounds = np.arange(len(fitted))
    axes.plot(rounds, limited, color=NATURAL, linewidth=2.2, label=f"natural gradient, KL ≤ {greedy.RADIUS:g} a step")
    axes.plot(rounds, fitted, color=PLAIN, linewidth=1.4, marker="o", markersize=4, label="fitted policy iteration")
    axes.set_ylim(fitted.min() - 3, greedy.HORIZON + 4)
    axes.set_xlabel("round of improvement")
    axes.set_ylabel(f"performance J (reward over {greedy.HORIZON} steps)")
    axes.set_title("Greedy on averages over the states that were visited: it collapses every second round", fontsize=10)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9.5)
    _clean(axes)
    return figure


def _baselines(pyplot: ModuleType, seed: int) -> Figure:
    figure, axes = pyplot.subplots(figsize=(7.5, 4.2), layout="constrained")
    found, names = baselines.variances(seed), baselines.NAMES
    kinds = [f"reward-to-go,\nbaseline: {name}" for name in names[:4]] + [
        f"whole return,\nbaseline: {name}" for name in names[4:]
    ]
    boxes = axes.boxplot(
        found[:, ::-1],
        orientation="horizontal",
        tick_labels=kinds[::-1],
        widths=0.55,
        patch_artist=True,
        showfliers=False,
        medianprops={"color": "black"},
    )
    for index, box in enumerate(boxes["boxes"]):
        box.set(facecolor=PLAIN if index < 2 else NATURAL, alpha=0.55)
    axes.axvline(1, color=THIRD, linewidth=1, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlabel("variance of the gradient, relative to reward-to-go without a baseline")
    axes.set_title(f"Exact variance in {len(found)} random problems: median, quartiles, whiskers", fontsize=10)
    axes.tick_params(axis="y", labelsize=8.5)
    _clean(axes)
    return figure


def _bootstrapping(pyplot: ModuleType, seed: int) -> Figure:
    bias, variance, _, _ = bootstrapping.curves(seed, 200)
    figure, panels = pyplot.subplots(2, 2, figsize=(8.5, 6), layout="constrained", sharex="col", sharey="row")
    count = bootstrapping.STEPS
    kinds = (
        ("n (steps before bootstrapping)", np.arange(1, count + 1), slice(0, count)),
        ("λ (trace)", np.array(bootstrapping.LAMBDAS), slice(count, None)),
    )
    for column, (name, places, chosen) in enumerate(kinds):
        for row, (found, colour) in enumerate(((bias, PLAIN), (variance, NATURAL))):
            axes, part = panels[row, column], found[:, chosen]
            axes.plot(
                places, np.median(part, axis=0), color=colour, linewidth=2, marker="o", markersize=5, label="median"
            )
            low, high = np.quantile(part, [0.25, 0.75], axis=0)
            axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0, label="half of the problems")
            axes.set_xticks(places)
            axes.set_ylim(bottom=0)
            _clean(axes)
        panels[1, column].set_xlabel(name)
    panels[0, 0].set_ylabel("bias ‖E[ĝ] − g‖ / ‖g‖")
    panels[1, 0].set_ylabel("variance (1: no bootstrapping)")
    panels[0, 1].legend(frameon=False, fontsize=9)
    panels[1, 1].legend(frameon=False, fontsize=9, loc="lower right")
    figure.suptitle(
        f"Exact bias and variance with a wrong critic (error {bootstrapping.ERROR:g} of the values' spread)",
        fontsize=11,
    )
    return figure


FIGURES: dict[str, tuple[str, Callable[[ModuleType, int], Figure]]] = {
    "T6": ("two-actions", _two_actions),
    "T7": ("directions", _directions),
    "T8": ("collapse", _greedy),
    "T10": ("baselines", _baselines),
    "T11": ("bias-and-variance", _bootstrapping),
}
