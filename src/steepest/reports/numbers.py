"""The numbers of a comparison: what methods came to on each task, and on all of them together."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from steepest.core.errors import InputError
from steepest.core.files import JsonObject
from steepest.reports.grouping import Method, group, task_name
from steepest.reports.notices import notices
from steepest.reports.scoring import Scale, SeedResult, measured_by, read_scales, scales_of, seed_results
from steepest.reports.selection import Selection, select
from steepest.runs.statistics import (
    Scores,
    bootstrap_interval,
    interquartile_mean,
    mean_score,
    median_score,
    optimality_gap,
    performance_profile,
    pooled_interquartile_mean,
    probability_of_improvement,
    stratified_interval,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FEW = 5
"""Seeds from which on an interval can be trusted, and one more."""
_THRESHOLDS = 201


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Everything that the page shows.

    - `tasks`: for each, the id of its environment. `sources`: for each, what its scores are.
    - `shared`: the tasks that every method has seeds on: only these are aggregated over.
    - `normalised`: whether scores that are aggregated are on the scales; those of a single task are plain returns.
    - `numbers`: what `compare` returns.
    """

    selection: Selection
    methods: list[Method]
    results: list[SeedResult]
    tasks: dict[str, str]
    sources: dict[str, str]
    scales: dict[str, Scale]
    shared: list[str]
    normalised: bool
    numbers: JsonObject

    def names(self, task: str | None = None) -> list[str]:
        """The methods with seeds that are pooled; on one task, if that is given."""
        there = {each.method for each in self.results if each.pooled and task in (None, each.task)}
        return [each.name for each in self.methods if each.name in there]


def comparison(
    *runs: str | pathlib.Path, normalise: str | pathlib.Path | None = None, labels: Sequence[str] = ()
) -> Comparison:
    """As `compare`, with everything that a page needs. Nothing is written."""
    given = None if normalise is None else read_scales(pathlib.Path(normalise))
    selection = select(runs, labels)
    methods = group(selection.runs)
    tasks = {task_name(each.config): each.config.env for each in selection.runs}
    sources = {task: measured_by(task, methods) for task in tasks}
    results = seed_results(methods, sources)
    if not any(each.pooled for each in results):
        raise InputError(_nothing(selection, results))
    scales = scales_of(results, tasks, given)
    names = {each.method for each in results if each.pooled}
    on = {task: {each.method for each in results if each.pooled and each.task == task} for task in tasks}
    shared = [task for task in tasks if on[task] == names]
    found = Comparison(
        selection, methods, results, tasks, sources, scales, shared, len(shared) > 1 or given is not None, {}
    )
    return dataclasses.replace(found, numbers=_numbers(found, given is not None))


def _nothing(selection: Selection, results: Sequence[SeedResult]) -> str:
    unfinished = next((each.run.name for each in results if each.note and each.run.state.state != "finished"), None)
    if unfinished:
        count = len(selection.runs)
        return f"runs: none of the {count} has finished, so there is nothing to compare: steepest resume {unfinished}"
    why = next(iter(selection.failed.items()), None)
    return f"runs: {': '.join(why)}" if why else "runs: no return of any seed is known. Evaluate, or train longer."


def scores_of(found: Comparison, method: str, tasks: Sequence[str], *, plain: bool = False) -> list[np.ndarray]:
    """The scores of a method that are pooled, [seeds] by task; normalised if the comparison is, unless `plain`."""
    scores = [
        np.array(
            [each.score for each in found.results if (each.task, each.method, each.pooled) == (task, method, True)]
        )
        for task in tasks
    ]
    if plain or not found.normalised:
        return scores
    return [found.scales[task](each) for task, each in zip(tasks, scores, strict=True)]


def _numbers(found: Comparison, given: bool) -> JsonObject:
    names = found.names()
    together = {name: scores_of(found, name, found.shared) for name in names} if found.shared else {}
    return {
        "normalised": found.normalised,
        "normalisation": _normalisation(found, given),
        "environments": [_environment(found, task) for task in found.tasks],
        "methods": [
            {
                "method": method.name,
                "algorithm": method.algorithm,
                "runs": [run.name for runs in method.runs.values() for run in runs],
                "aggregate": _aggregate(together[method.name], found) if method.name in together else None,
            }
            for method in found.methods
        ],
        "aggregated_over": found.shared,
        "probability_of_improvement": [
            {"method": one, "over": other} | _estimate(probability_of_improvement, together[one], together[other])
            for one, other in itertools.combinations(together, 2)
        ],
        "performance_profiles": _profiles(together),
        "seeds": [_seed(found, each) for each in found.results],
        "failed": [{"run": run, "message": why} for run, why in _failed(found).items()],
        "unfinished": [
            {"run": run.name, "state": run.state.state, "steps": run.state.steps, "total_steps": run.config.total_steps}
            for run in found.selection.runs
            if run.state.state not in ("finished", "failed")
        ],
        "notices": notices(found.methods, found.results, found.sources, found.shared, found.selection.failed),
    }


def _failed(found: Comparison) -> dict[str, str]:
    failed = {run.name: run.state.why for run in found.selection.runs if run.state.state == "failed"}
    return failed | found.selection.failed


def _normalisation(found: Comparison, given: bool) -> str:
    if not found.normalised:
        return "scores are returns as they are"
    if given:
        return "scores are 0 at the low and 1 at the high return that the table given with --normalise has for each"
    return (
        "scores are 0 at the lowest and 1 at the highest final return of all seeds that are compared here, in each "
        "environment; another choice of runs gives other scores"
    )


def _environment(found: Comparison, task: str) -> JsonObject:
    scale = found.scales[task]
    methods = []
    for name in found.names(task):
        (scores,) = scores_of(found, name, [task], plain=True)
        seeds = [each for each in found.results if (each.task, each.method, each.pooled) == (task, name, True)]
        worst, best = (choose(seeds, key=lambda each: each.score) for choose in (min, max))
        methods.append(
            {
                "method": name,
                "seeds": len(scores),
                "iqm": float(interquartile_mean(scores)),
                "iqm_ci95": _ends(bootstrap_interval(scores)) if len(scores) > 1 else None,
                "median": float(np.median(scores)),
                "mean": float(scores.mean()),
                "deviation": float(scores.std(ddof=1)) if len(scores) > 1 else None,
                "worst_seed": {"seed": worst.seed, "run": worst.run.name, "return": worst.score},
                "best_seed": {"seed": best.seed, "run": best.run.name, "return": best.score},
                "total_steps": max(each.run.config.total_steps for each in seeds),
            }
        )
    return {
        "environment": task,
        "measured_by": found.sources[task],
        "low": plain(scale.low),
        "high": plain(scale.high),
        "methods": methods,
    }


def _aggregate(scores: Scores, found: Comparison) -> JsonObject:
    target = 1.0 if found.normalised else found.scales[found.shared[0]].high
    statistics: dict[str, Callable[..., np.ndarray | np.floating]] = {
        "iqm": pooled_interquartile_mean,
        "median": median_score,
        "mean": mean_score,
        "optimality_gap": functools.partial(optimality_gap, target=target),
    }
    return {name: _estimate(statistic, scores) for name, statistic in statistics.items()}


def _estimate(statistic: Callable[..., np.ndarray | np.floating], *samples: Scores) -> JsonObject:
    """A statistic, and its interval where any task has more than one seed."""
    some = any(len(each) > 1 for scores in samples for each in scores)
    interval = _ends(stratified_interval(statistic, *samples)) if some else None
    return {"value": float(statistic(*samples)), "ci95": interval}


def _ends(interval: tuple[np.ndarray, np.ndarray]) -> list[float]:
    return [float(each) for each in interval]


def _profiles(together: Mapping[str, Scores]) -> JsonObject:
    if not together:
        return {"thresholds": [], "methods": []}
    every = np.concatenate([each for scores in together.values() for each in scores])
    low, high = every.min(), every.max()
    margin = 0.02 * (high - low or 1.0)
    thresholds = np.linspace(low - margin, high + margin, _THRESHOLDS)

    def profile(scores: Scores) -> np.ndarray:
        return performance_profile(scores, thresholds)

    methods = []
    for name, scores in together.items():
        band = stratified_interval(profile, scores, resamples=1000) if any(len(each) > 1 for each in scores) else None
        low, high = (None, None) if band is None else (listed(each) for each in band)
        methods.append({"method": name, "fraction": listed(profile(scores)), "low": low, "high": high})
    return {"thresholds": listed(thresholds), "methods": methods}


def _seed(found: Comparison, each: SeedResult) -> JsonObject:
    config = each.run.config
    scale = found.scales[each.task]
    return {
        "environment": each.task,
        "method": each.method,
        "algorithm": each.algorithm,
        "seed": each.seed,
        "return": plain(each.score),
        "deviation": plain(each.deviation),
        "normalised": plain(float(scale(np.array(each.score)))) if math.isfinite(each.score) else None,
        "measured_by": found.sources[each.task] if each.run.state.state == "finished" else "training",
        "state": each.run.state.state,
        "pooled": each.pooled,
        "note": each.note,
        "steps": each.steps,
        "total_steps": config.total_steps,
        "episodes": config.evaluation_episodes,
        "episodes_cut": each.episodes_cut,
        "wall_time": plain(each.wall_time),
        "steps_per_second": plain(each.steps_per_second),
        "library": config.library,
        "steepest": config.versions.get("steepest"),
        "run": os.fspath(each.run.name),
    }


def plain(value: float) -> float | None:
    """A number as JSON has it, which has no NaN and no infinity."""
    return float(value) if math.isfinite(value) else None


def listed(values: ArrayLike) -> list[float]:
    """Numbers, with as many digits as a picture can show."""
    return [float(f"{each:.6g}") for each in np.asarray(values)]
