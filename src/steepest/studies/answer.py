"""What a search has found, judged by seeds that it never saw, as a block for `presets.toml`."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from steepest.experiments.configuration import versions
from steepest.runs.statistics import (
    bootstrap_interval,
    interquartile_mean,
    probability_of_improvement,
    stratified_interval,
)
from steepest.studies.planned import PlannedRun
from steepest.studies.trials import Trial
from steepest.studies.tune_settings import TuneSettings

BEST = 5
"""Trials that are trained again."""
DEFAULTS = {"paper": "the paper's defaults", "preset": "the preset", "begin": "where the search began"}
"""What the best trials are compared with, by the names of its runs."""
_WIDTH = 110


@dataclasses.dataclass(frozen=True)
class Contender:
    """A setting that is trained again with fresh seeds.

    - `name`: `trial-7`, or one of `DEFAULTS`.
    - `hyper`: its hyper-parameters that are not the paper's.
    - `searched`: the mean return that the search saw, of which the best of many is always too good.
    - `returns`: mean return of its last policy, by fresh seed. `failures`: why others have none.
    """

    name: str
    hyper: Mapping[str, Any]
    searched: float | None = None
    returns: Mapping[int, float] = dataclasses.field(default_factory=dict)
    failures: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What it is, in words."""
        return DEFAULTS.get(self.name, self.name.replace("-", " "))

    @property
    def values(self) -> np.ndarray:
        """The returns, by seed."""
        return np.array([self.returns[seed] for seed in sorted(self.returns)])

    @property
    def iqm(self) -> float:
        """Interquartile mean over fresh seeds; NaN where there is none."""
        return float(interquartile_mean(self.values)) if self.returns else math.nan

    @functools.cached_property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of that."""
        if not self.returns:
            return math.nan, math.nan
        low, high = bootstrap_interval(self.values)
        return float(low), float(high)

    def improvement(self, other: Contender) -> tuple[float, float, float]:
        """The probability that a seed of it returns more than one of another, and the 95% interval of that."""
        pair = [self.values], [other.values]
        if not (self.returns and other.returns):
            return math.nan, math.nan, math.nan
        low, high = stratified_interval(probability_of_improvement, *pair)
        return float(probability_of_improvement(*pair)), float(low), float(high)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a search has found.

    - `contenders`: the best trials, the best on fresh seeds first. `defaults`: what they are compared with.
    - `trials`: how many there were, by state.
    - `seconds`: that this call took.
    """

    settings: TuneSettings
    contenders: tuple[Contender, ...]
    defaults: tuple[Contender, ...]
    trials: Mapping[str, int]
    importance: Mapping[str, float]
    seconds: float = 0.0

    @property
    def best(self) -> Contender | None:
        """The contender with the highest interquartile mean, of those that no seed failed."""
        seeds = set(self.settings.fresh_seeds)
        return next((each for each in self.contenders if set(each.returns) == seeds), None)

    @property
    def beaten(self) -> bool:
        """Whether the best is more likely than not to return more than each of the defaults."""
        return self.best is not None and all(
            not each.returns or self.best.improvement(each)[0] > 0.5 for each in self.defaults
        )

    def block(self) -> str:
        """The best setting as a block for `presets.toml`, with its evidence as comments; empty where there is none."""
        best = self.best
        if best is None:
            return ""
        settings, lines = self.settings, []
        tried = ", ".join(f"{count} {state}" for state, count in self.trials.items() if count)
        lines += [
            f"{settings.algorithm} on {settings.env}, found by steepest tune: {sum(self.trials.values())} trials "
            f"({tried}) of {settings.options['total_steps']:,} steps with seeds {_range(settings.seeds)}.",
            "Searched: " + "; ".join(each.text for each in settings.space) + ".",
            f"The best {len(self.contenders)} were trained again with seeds {_range(settings.fresh_seeds)}, which the "
            f"search never saw, and {settings.options['evaluation_episodes']} episodes each, without noise:",
            f"this one ({best.title}): {_evidence(best)}",
        ]
        for other in self.defaults:
            lines.append(f"{other.title}: {_evidence(other)}")
            if other.returns:
                share, low, high = best.improvement(other)
                lines.append(f"probability of improvement over that: {share:.2f}, 95% interval {low:.2f} to {high:.2f}")
        if not self.beaten:
            lines.append("It is no improvement that these seeds could show. Keep what there was.")
        found = versions()
        today = datetime.datetime.now(datetime.UTC).date()
        lines.append(f"steepest {found.get('steepest', '?')}, jax {found.get('jax', '?')}, {today}")
        body = [f"{name} = {_toml(value)}" for name, value in best.hyper.items()]
        comments = [f"# {each}" for line in lines for each in _wrapped(line)]
        return "\n".join([*comments, f"[{settings.algorithm}.{json.dumps(settings.env)}]", *body]) + "\n"

    def to_json(self) -> dict[str, object]:
        """What `steepest tune --json` prints of it."""
        return {
            "algorithm": self.settings.algorithm,
            "env": self.settings.env,
            "total_steps": self.settings.options["total_steps"],
            "seeds": list(self.settings.seeds),
            "fresh_seeds": list(self.settings.fresh_seeds),
            "trials": dict(self.trials),
            "best": None if self.best is None else self._row(self.best),
            "beats_defaults": self.beaten,
            "contenders": [self._row(each) for each in self.contenders],
            "defaults": [self._row(each) for each in self.defaults],
            "importance": dict(self.importance),
            "seconds": self.seconds,
        }

    def _row(self, contender: Contender) -> dict[str, object]:
        versus = {each.name: contender.improvement(each) for each in self.defaults if contender not in self.defaults}
        return {
            "name": contender.name,
            "hyper_parameters": {name: _jsonable(value) for name, value in contender.hyper.items()},
            "searched": contender.searched,
            "returns": {str(seed): value for seed, value in contender.returns.items()},
            "iqm": _finite(contender.iqm),
            "iqm_ci95": [_finite(each) for each in contender.interval],
            "probability_of_improvement": {
                name: {"value": _finite(found[0]), "ci95": [_finite(found[1]), _finite(found[2])]}
                for name, found in versus.items()
            },
            "failures": list(contender.failures),
        }


def contenders(settings: TuneSettings, trials: Sequence[Trial]) -> tuple[list[Contender], list[Contender]]:
    """What is to be trained again with fresh seeds: the best trials, the best first, and the defaults."""
    defaults = [Contender("paper", {})]
    if settings.preset:
        defaults.append(Contender("preset", dict(settings.preset)))
    if not any(dict(each.hyper) == dict(settings.begin) for each in defaults):
        defaults.append(Contender("begin", dict(settings.begin)))
    known = [dict(each.hyper) for each in defaults]
    found: list[Contender] = []
    for trial in sorted(trials, key=lambda each: (each.state != "complete", -each.mean)):
        if trial.state not in ("complete", "pruned"):
            continue
        hyper = settings.hyper(trial.hyper)
        if hyper not in known and len(found) < BEST:
            known.append(hyper)
            found.append(Contender(f"trial-{trial.number + 1}", hyper, trial.mean))
    return found, defaults


def fresh_runs(settings: TuneSettings, contender: Contender) -> list[PlannedRun]:
    """The runs of a contender, one for each fresh seed."""
    return [
        PlannedRun(
            f"{contender.name}-seed-{seed}",
            settings.algorithm,
            settings.env,
            seed,
            hyper=dict(contender.hyper),
            options=dict(settings.options),
            setting=contender.name,
        )
        for seed in settings.fresh_seeds
    ]


def ranked(found: Sequence[Contender]) -> tuple[Contender, ...]:
    """The best on fresh seeds first, and those that some seed failed last."""
    most = max((len(each.returns) for each in found), default=0)
    return tuple(sorted(found, key=lambda each: (-len(each.returns) != -most, -each.iqm if each.returns else math.inf)))


def _evidence(contender: Contender) -> str:
    if not contender.returns:
        return f"nothing; {contender.failures[0]}" if contender.failures else "nothing"
    low, high = contender.interval
    listed = ", ".join(f"{value:.1f}" for value in contender.values)
    failed = f"; {len(contender.failures)} failed" if contender.failures else ""
    return f"interquartile mean {contender.iqm:.1f}, 95% interval {low:.1f} to {high:.1f}; returns {listed}{failed}"


def _range(seeds: Sequence[int]) -> str:
    return f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else str(seeds[0])


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return repr(value)
        case tuple() | list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case str():
            return json.dumps(value)
        case _:
            return str(value)


def _jsonable(value: object) -> object:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
