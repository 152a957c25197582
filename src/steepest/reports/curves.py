"""Learning curves of methods: the seeds of several runs, read off at the same steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from steepest.reports.scoring import SeedResult
from steepest.runs.plot import evaluation_curve, learning_curve
from steepest.runs.statistics import bootstrap_interval, interquartile_mean

_POINTS = 100
_RESAMPLES = 500

Columns = Mapping[str, np.ndarray]


def kind_of_curve(results: Sequence[SeedResult]) -> str:
    """What curves of a task show: `evaluation` where every pooled seed was evaluated on the way, else `training`."""
    pooled = [each for each in results if each.pooled]
    return "evaluation" if all(_evaluated(each) for each in pooled) else "training"


def _evaluated(result: SeedResult) -> bool:
    columns = _columns([result])
    return columns is not None and len(evaluation_curve(columns)[0]) > 1


def curve(results: Sequence[SeedResult], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps [P] and returns by seed [P, K] of seeds of one method; P is 0 where they played nothing on the way."""
    columns = _columns(results)
    if columns is None:
        return np.zeros(0), np.zeros((0, len(results)))
    steps, returns = evaluation_curve(columns) if kind == "evaluation" else learning_curve(columns)
    chosen = np.unique(np.linspace(0, len(steps) - 1, _POINTS).astype(int)) if len(steps) else np.zeros(0, int)
    return steps[chosen], returns[chosen]


def band(returns: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """The interquartile mean over seeds at each of the steps, and its 95% interval where there are several."""
    middle = np.asarray(interquartile_mean(returns))
    if returns.shape[-1] < 2 or not len(returns):
        return middle, None, None
    return middle, *bootstrap_interval(returns, resamples=_RESAMPLES)


def _columns(results: Sequence[SeedResult]) -> dict[str, np.ndarray] | None:
    """The rows of these seeds, of whatever run, numbered anew; None where any has none."""
    parts = []
    for number, each in enumerate(results):
        columns = each.run.columns
        rows = np.zeros(0, bool) if columns is None else columns["seed"] == each.seed
        if columns is None or not rows.any():
            return None
        parts.append(
            {name: values[rows] for name, values in columns.items()} | {"seed": np.full(rows.sum(), float(number))}
        )
    names = set.intersection(*(set(part) for part in parts))
    return {name: np.concatenate([part[name] for part in parts]) for name in names}
