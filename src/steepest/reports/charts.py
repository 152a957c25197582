"""The pictures of a comparison: learning curves, final returns, aggregates, profiles, who improves on whom."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from steepest.core.files import JsonObject
from steepest.reports.curves import band, curve, kind_of_curve
from steepest.reports.numbers import FEW, Comparison
from steepest.reports.picture import Axis, Curve, Picture, Row, axis, interval_text, number
from steepest.reports.tables import better_first

_FEW = f"{FEW} seeds or fewer: do not trust the intervals"
_SOME_FEW = f"with {FEW} seeds or fewer, do not trust an interval"
_ONE = "one seed each: there is no interval"
_MOST_PAIRS = 10
AGGREGATES = {
    "iqm": "Interquartile mean",
    "median": "Median",
    "mean": "Mean",
    "optimality_gap": "Optimality gap (less is better)",
}


def pictures(found: Comparison) -> list[Picture]:
    """All pictures, in the order of the page. Their names are those of their files."""
    drawn = [*_learning(found), *_final(found), *_aggregates(found)]
    for each in (_profile(found), _improvement(found)):
        drawn += [] if each is None else [each]
    return drawn


def labels(found: Comparison) -> dict[str, str]:
    """What methods are called where there is little room: what all of them begin with is left out."""
    names = [each.name for each in found.methods]
    first = {name.split(", ")[0] for name in names}
    if len(names) > 1 and len(first) == 1 and all(", " in name for name in names):
        return {name: name.split(", ", 1)[1] for name in names}
    return {name: name for name in names}


def file_name(text: str) -> str:
    """A text as a part of the name of a file, and of an id on the page."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()[:60] or "unnamed"


def _names_of_tasks(found: Comparison, kind: str) -> dict[str, str]:
    """For each task the name of a picture, each different."""
    names: dict[str, str] = {}
    for task in found.tasks:
        name = f"{kind}-{file_name(task)}"
        names[task] = name if name not in names.values() else f"{name}-{len(names) + 1}"
    return names


def _series(found: Comparison) -> dict[str, int]:
    return {each.name: index for index, each in enumerate(found.methods)}


def _warning(counts: Sequence[int]) -> str:
    """What a picture with intervals of so many seeds must say."""
    if all(each == 1 for each in counts):
        return _ONE
    if all(each <= FEW for each in counts):
        return _FEW
    return _SOME_FEW if any(each <= FEW for each in counts) else ""


def _fewest(found: Comparison, method: str, tasks: Sequence[str]) -> int:
    return min(
        sum(each.pooled and (each.task, each.method) == (task, method) for each in found.results) for task in tasks
    )


def _learning(found: Comparison) -> Iterator[Picture]:
    short, series = labels(found), _series(found)
    for task, name in _names_of_tasks(found, "learning").items():
        here = [each for each in found.results if each.task == task]
        kind = kind_of_curve(here)
        curves, silent = [], []
        for method in found.names():
            seeds = [each for each in here if each.method == method and each.pooled]
            others = [each for each in here if each.method == method and not each.pooled and each.note]
            steps, returns = curve(seeds, kind) if seeds else (np.zeros(0), np.zeros((0, 0)))
            if not len(steps):
                silent += [method] if seeds else []
                continue
            middle, low, high = band(returns)
            lost = [(x, y[:, 0]) for x, y in (curve([each], kind) for each in others) if len(x)]
            label, count = short[method], returns.shape[1]
            curves.append(
                Curve(method, label, series[method], steps, middle, low, high, returns, count > FEW, tuple(lost))
            )
        if not curves:
            continue
        values = np.concatenate(
            [part for each in curves for part in (each.seeds.ravel(), *(y for _, y in each.unfinished))]
        )
        last = max(float(each.x[-1]) for each in curves)
        counts = [each.seeds.shape[1] for each in curves]
        ends = "; ".join(f"{each.name} ends at {number(each.y[-1])} {_between(each)}".rstrip() for each in curves)
        says = "evaluations without noise on the way" if kind == "evaluation" else "episodes as they were played"
        told = f" No episodes are played while learning by {', '.join(silent)}." if silent else ""
        lost = " Broken faint lines: seeds that did not finish." if any(each.unfinished for each in curves) else ""
        yield Picture(
            name,
            f"Learning on {task}",
            f"Return over environment steps on {task}: {ends}.",
            f"Interquartile mean over seeds of {says}; shaded: its 95% bootstrap interval; faint: every "
            f"seed.{lost}{told}",
            _warning(counts),
            axis("environment steps", [0, last], steps=True, from_zero=True),
            axis("return", values.tolist()),
            curves,
            small=len(found.tasks) > 1,
        )


def _between(each: Curve) -> str:
    return "" if each.low is None or each.high is None else interval_text([each.low[-1], each.high[-1]])


def _final(found: Comparison) -> Iterator[Picture]:
    names, series, short = _names_of_tasks(found, "final"), _series(found), labels(found)
    for environment in found.numbers["environments"]:
        task, rows = environment["environment"], []
        for each in environment["methods"]:
            method = each["method"]
            mine = [one for one in found.results if (one.task, one.method) == (task, method) and np.isfinite(one.score)]
            dots = [(one.score, _dot(one.seed, one.run.name, one.score)) for one in mine if one.pooled]
            hollow = [
                (one.score, f"{_dot(one.seed, one.run.name, one.score)}\n{one.note}") for one in mine if not one.pooled
            ]
            says = f"{number(each['iqm'])} {interval_text(each['iqm_ci95'])} · {_seeds(each['seeds'])}"
            rows.append(
                Row(
                    short[method],
                    series[method],
                    each["iqm"],
                    each["iqm_ci95"],
                    says,
                    dots,
                    hollow,
                    each["seeds"] > FEW,
                )
            )
        if not rows:
            continue
        values = [value for row in rows for value, _ in (*row.dots, *row.hollow)]
        source = "the last policy, without noise" if environment["measured_by"] == "evaluation" else "the last episodes"
        hollow = " Hollow: not pooled." if any(row.hollow for row in rows) else ""
        yield Picture(
            names[task],
            f"Final returns on {task}",
            f"Mean return of each seed on {task}: " + "; ".join(f"{row.name}: {row.says}" for row in rows) + ".",
            f"A dot for each seed: mean return of {source}. Upright: interquartile mean; bar: its 95% "
            f"interval.{hollow}",
            _warning([each["seeds"] for each in environment["methods"]]),
            axis("return", values),
            rows=rows,
            small=len(found.tasks) > 1,
        )


def _dot(seed: int, run: str, score: float) -> str:
    return f"seed {seed}: {number(score)}\n{run}"


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"


def _aggregates(found: Comparison) -> Iterator[Picture]:
    known = [each for each in found.numbers["methods"] if each["aggregate"]]
    if not known:
        return
    series, short = _series(found), labels(found)
    unit = "normalised score" if found.normalised else "return"
    for name, title in AGGREGATES.items():
        rows = []
        for each in known:
            estimate = each["aggregate"][name]
            trusted = _fewest(found, each["method"], found.shared) > FEW
            rows.append(_estimated(short[each["method"]], series[each["method"]], estimate, trusted))
        ends = [end for row in rows for end in (row.value, *(row.interval or ())) if end is not None]
        yield Picture(
            f"aggregate-{name.replace('_', '-')}",
            title,
            f"{title} over {', '.join(found.shared)}: " + "; ".join(f"{row.name} {row.says}" for row in rows) + ".",
            "",
            _warning([_fewest(found, each["method"], found.shared) for each in known]),
            axis(unit, ends),
            rows=rows,
            small=True,
        )


def _estimated(name: str, series: int, estimate: JsonObject, trusted: bool) -> Row:
    says = f"{number(estimate['value'])} {interval_text(estimate['ci95'])}".rstrip()
    return Row(name, series, estimate["value"], estimate["ci95"], says, trusted=trusted)


def _profile(found: Comparison) -> Picture | None:
    profiles = found.numbers["performance_profiles"]
    if not profiles["methods"]:
        return None
    short, series, thresholds = labels(found), _series(found), np.array(profiles["thresholds"])
    curves = []
    for each in profiles["methods"]:
        low, high = (None if each[end] is None else np.array(each[end]) for end in ("low", "high"))
        name, few = each["method"], _fewest(found, each["method"], found.shared) <= FEW
        fraction = np.array(each["fraction"])
        nothing = np.zeros((len(thresholds), 0))
        curves.append(Curve(name, short[name], series[name], thresholds, fraction, low, high, nothing, not few))
    middle = len(thresholds) // 2
    said = "; ".join(f"{each.name} {100 * each.y[middle]:.0f} %" for each in curves)
    unit = "normalised score" if found.normalised else "return"
    return Picture(
        "profiles",
        "Performance profiles",
        f"Share of seeds that score more than {number(thresholds[middle])}: {said}.",
        "How many of the seeds score more than τ; a curve that lies higher is better at every τ. "
        "Shaded: 95% bootstrap interval, stratified by environment.",
        _warning([_fewest(found, each.name, found.shared) for each in curves]),
        Axis(f"{unit} τ", float(thresholds[0]), float(thresholds[-1])),
        Axis("fraction of seeds above τ", -0.02, 1.02),
        curves,
        falling=True,
    )


def _improvement(found: Comparison) -> Picture | None:
    pairs = found.numbers["probability_of_improvement"]
    if not pairs:
        return None
    aggregates = {each["method"]: each["aggregate"] for each in found.numbers["methods"] if each["aggregate"]}
    best = max(aggregates, key=lambda each: aggregates[each]["iqm"]["value"])
    told = ""
    if len(pairs) > _MOST_PAIRS:
        pairs = [each for each in pairs if best in (each["method"], each["over"])]
        told = f" Only those of {best} are drawn, whose interquartile mean is the highest; the others are in the JSON."
    short, series, rows = labels(found), _series(found), []
    for each in map(better_first, pairs):
        one, other = each["method"], each["over"]
        trusted = min(_fewest(found, name, found.shared) for name in (one, other)) > FEW
        rows.append(_estimated(f"{short[one]} over {short[other]}", series[one], each, trusted))
    return Picture(
        "improvement",
        "Probability of improvement",
        "Probability that a seed of one method scores more than one of another: "
        + "; ".join(f"{row.name} {row.says}" for row in rows)
        + ".",
        "How likely a seed of the first scores more than one of the second, on average over environments. An interval "
        f"that holds 0.5 does not tell them apart.{told}",
        _warning([_fewest(found, each, found.shared) for each in aggregates]),
        Axis("probability", 0.0, 1.0),
        rows=rows,
        reference=0.5,
    )
