"""Learning curves, as a picture."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from steepest.core.files import write_figure
from steepest.runs.metrics import EVALUATED
from steepest.runs.statistics import bootstrap_interval, interquartile_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import ColorType

_POINTS = 200
LIKELIHOOD = "log_likelihood"
"""The column that runs have which learn from demonstrations."""
_WINDOW = 0.03
"""Of the whole run: over so many steps, episodes are averaged into one point."""


def learning_curve(columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Steps [P], and the mean return of episodes that ended shortly before each, by seed [P, K].

    Every seed is read off at the same steps, so that seeds can be compared even if their updates differ.
    """
    seeds = np.unique(columns["seed"])
    end = min(columns["steps"][columns["seed"] == seed].max() for seed in seeds)
    grid = np.linspace(0, end, _POINTS + 1)[1:]
    curves = np.stack([_one_seed(columns, seed, grid, _WINDOW * end) for seed in seeds], axis=1)
    known = ~np.isnan(curves).any(axis=1)
    return grid[known], curves[known]


def _one_seed(columns: Mapping[str, np.ndarray], seed: float, grid: np.ndarray, window: float) -> np.ndarray:
    chosen = (columns["seed"] == seed) & (columns["episodes"] > 0)
    steps, count = columns["steps"][chosen], columns["episodes"][chosen]
    total = np.concatenate([[0], np.cumsum(columns["return"][chosen] * count)])
    number = np.concatenate([[0], np.cumsum(count)])
    last = np.searchsorted(steps, grid, side="right")
    first = np.minimum(np.searchsorted(steps, grid - window, side="right"), np.maximum(last - 1, 0))
    ended = number[last] - number[first]
    return np.where(ended > 0, (total[last] - total[first]) / np.where(ended > 0, ended, 1), np.nan)


def evaluation_curve(columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Steps [P], and the mean return of the evaluations on the way, by seed [P, K]; P is 0 where there were none.

    The steps are those at which any seed was evaluated, as far as all had been by then and were later; between its own
    a seed's returns are joined by straight lines. Seeds that never were are left out.
    """
    values = columns.get(EVALUATED, np.full(len(columns["seed"]), np.nan))
    chosen = [(columns["seed"] == seed) & ~np.isnan(values) for seed in np.unique(columns["seed"])]
    played = [(columns["steps"][rows], values[rows]) for rows in chosen if rows.any()]
    if not played:
        return np.zeros(0), np.zeros((0, 0))
    steps = np.unique(np.concatenate([at for at, _ in played]))
    shared = (steps >= max(at[0] for at, _ in played)) & (steps <= min(at[-1] for at, _ in played))
    steps = steps[shared]
    return steps, np.stack([np.interp(steps, at, returns) for at, returns in played], axis=1)


def likelihood_curve(columns: Mapping[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps [P], and the mean log-likelihood of demonstrated actions in column `name`, by seed [P, K]."""
    seeds = [columns["seed"] == seed for seed in np.unique(columns["seed"])]
    shortest = min(int(chosen.sum()) for chosen in seeds)
    rows = np.unique(np.linspace(0, shortest - 1, _POINTS).astype(int))
    return columns["steps"][seeds[0]][rows], np.stack([columns[name][chosen][rows] for chosen in seeds], axis=1)


def plot_curves(curves: Mapping[str, Mapping[str, np.ndarray]], title: str, out: pathlib.Path) -> None:
    """Draw one line for each label: the interquartile mean over seeds, with its 95% interval.

    Where all of them learnt from demonstrations, and played no episodes on the way, it is the log-likelihood of these.

    **Arguments**

    - `curves`: for each label, the columns of its metrics.
    - `out`: where to; the suffix decides the format.

    **Raises** `InputError` for a format that is unknown, `StorageFault` where it cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import EngFormatter

    figure, axes = pyplot.subplots(figsize=(7, 4.3), layout="constrained")
    imitated = all(LIKELIHOOD in columns for columns in curves.values())
    likelihoods = imitated and not any(len(evaluation_curve(columns)[0]) for columns in curves.values())
    for label, columns in curves.items():
        (_draw_likelihoods if likelihoods else _draw_returns)(axes, label, columns)
    axes.set_xlabel("demonstrated transitions" if imitated else "environment steps")
    axes.set_ylabel("log-likelihood of an action, nats" if likelihoods else "return of an episode (sum of rewards)")
    axes.set_title(f"{title}\ninterquartile mean over seeds, shaded: 95% bootstrap interval", fontsize=10)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3, linewidth=0.6)
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    try:
        write_figure(figure, out)
    finally:
        pyplot.close(figure)


def _draw_returns(axes: Axes, label: str, columns: Mapping[str, np.ndarray]) -> None:
    seeds = len(np.unique(columns["seed"]))
    name = f"{label} ({seeds} seed{'s' if seeds > 1 else ''})"
    steps, returns = learning_curve(columns)
    at, evaluated = evaluation_curve(columns)
    if len(at):
        colour = _draw(axes, at, evaluated, label=f"{name}, evaluated", linewidth=1.8, marker=".")
        if len(steps):
            _draw(axes, steps, returns, label=f"{name}, as it was played", linewidth=1.2, linestyle="--", color=colour)
        return
    if len(steps) == 0:
        why = "it plays none while it learns" if LIKELIHOOD in columns else "no episode has ended yet"
        axes.plot([], [], label=f"{name}: {why}")
        return
    _draw(axes, steps, returns, label=name, linewidth=1.8)


def _draw_likelihoods(axes: Axes, label: str, columns: Mapping[str, np.ndarray]) -> None:
    kinds = {f"held_out_{LIKELIHOOD}": ("held out", "-"), LIKELIHOOD: ("learnt from", "--")}
    colour = None
    for column, (kind, style) in kinds.items():
        if column in columns:
            steps, values = likelihood_curve(columns, column)
            seeds = values.shape[1]
            name = f"{label}, {kind} ({seeds} seed{'s' if seeds > 1 else ''})"
            colour = _draw(axes, steps, values, label=name, linestyle=style, linewidth=1.4, color=colour)


def _draw(axes: Axes, steps: np.ndarray, values: np.ndarray, **style: Any) -> ColorType:
    """One line and its interval, of values by seed [P, K]; returns its colour."""
    (line,) = axes.plot(steps, interquartile_mean(values), **style)
    if values.shape[1] > 1:
        low, high = bootstrap_interval(values)
        axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    return line.get_color()
