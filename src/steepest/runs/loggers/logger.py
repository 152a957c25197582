"""What loggers have in common: each number once, of every seed, and their mean."""

import abc
import collections
import dataclasses
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from steepest.runs import metrics
from steepest.runs.listeners import AbstractListener, Row, RunDescription

EVALUATION = "evaluation/return"
"""The name of what a policy returned without noise, on the way and at the end."""
_SECTIONS = {
    **dict.fromkeys(("episodes", "return", "length"), "rollout"),
    **dict.fromkeys(("update", "wall_time", "steps_per_second"), "time"),
}
_AXES = ("seed", "steps")
Series = int | None
"""A seed; None for the mean over seeds."""


@dataclasses.dataclass(frozen=True)
class Point:
    """Numbers of one moment.

    - `steps`: of the environment, by then. `seconds`: of training, by then.
    - `numbers`: by name; each is finite, or infinite, but never NaN.
    """

    steps: float
    seconds: float
    numbers: Mapping[str, float]


def name_of(column: str) -> str:
    """What a column of metrics is called in a log: `return` is `rollout/return`, `kl` is `train/kl`.

    >>> name_of("return"), name_of("kl"), name_of("evaluated_return")
    ('rollout/return', 'train/kl', 'evaluation/return')
    """
    return EVALUATION if column == metrics.EVALUATED else f"{_SECTIONS.get(column, 'train')}/{column}"


class AbstractLogger(AbstractListener):
    """A listener that passes on all numbers of a run, of every seed and their mean over seeds, each of them once.

    A run that was killed makes the updates after its newest checkpoints again. So rows are passed on once a checkpoint
    holds them, and a run that goes on begins with those of `metrics.csv` that were not passed on before. Of a run that
    is kept nowhere they are passed on at once.
    """

    def begin(self, run: RunDescription) -> None:
        seeds = run.config["seeds"]
        assert isinstance(seeds, list)
        self._seeds: list[int] = seeds
        self._kept = run.directory is not None
        self._waiting: dict[int, list[Row]] = collections.defaultdict(list)
        self._means: dict[int, list[Row]] = collections.defaultdict(list)
        self._final: dict[int, Point] = {}
        self._updates, self._evaluated = self._open(run)
        self._mean_update = min(self._updates.get(seed, 0) for seed in seeds)
        self._passed: dict[int, Row] = {}
        table = None if run.directory is None else run.directory.metrics
        if table is not None and table.exists() and len(metrics.scan(table).lines):
            columns = metrics.read(table)
            values = zip(*(column.tolist() for column in columns.values()), strict=True)
            self._pass_on([dict(zip(columns, each, strict=True)) for each in values])

    @abc.abstractmethod
    def _open(self, run: RunDescription) -> tuple[dict[int, int], dict[Series, float]]:
        """Prepare to write. Returns the last update of each seed, and the steps of each evaluation, written before."""

    @abc.abstractmethod
    def _write(self, points: Mapping[Series, Sequence[Point]]) -> None:
        """Write points of several series, those of each in order."""

    @abc.abstractmethod
    def picture(self, path: pathlib.Path) -> None:
        """Show the learning curve, a .png."""

    @abc.abstractmethod
    def recording(self, path: pathlib.Path) -> None:
        """Show a recording of the policy, a .gif or .mp4."""

    def rows(self, rows: Sequence[Row]) -> None:
        if not self._kept:
            self._pass_on(rows)
            return
        for row in rows:
            self._waiting[int(row["seed"])].append(row)

    def checkpoint(self, seed: int, path: pathlib.Path) -> None:
        held = [row for row in self._waiting[seed] if row["update"] <= int(path.stem)]
        self._waiting[seed] = self._waiting[seed][len(held) :]
        self._pass_on(held)

    def evaluation(self, seed: int, steps: int, returns: np.ndarray) -> None:
        last = self._passed.get(seed)
        if last is None or last["steps"] < steps:
            return  # on the way; the row that follows has it too
        self._final[seed] = Point(steps, last["wall_time"], {EVALUATION: float(np.mean(returns))})
        points: dict[Series, list[Point]] = {seed: [self._final[seed]]}
        if len(self._final) == len(self._seeds) > 1:
            points[None] = [_mean(list(self._final.values()))]
        self._write_new(points)

    def _pass_on(self, rows: Iterable[Row]) -> None:
        points: dict[Series, list[Point]] = collections.defaultdict(list)
        for row in rows:
            seed, update = int(row["seed"]), int(row["update"])
            self._passed[seed] = row
            if update > self._updates.get(seed, 0):
                self._updates[seed] = update
                points[seed].append(_point(row))
            if len(self._seeds) > 1 and update > self._mean_update:
                self._means[update].append(row)
                if len(self._means[update]) == len(self._seeds):
                    points[None].append(_mean([_point(each) for each in self._means.pop(update)]))
        self._write_new(points)

    def _write_new(self, points: Mapping[Series, Sequence[Point]]) -> None:
        """Write points, without the evaluations that were written before."""
        new: dict[Series, list[Point]] = {}
        for series, each in points.items():
            new[series] = []
            for point in each:
                if EVALUATION in point.numbers:
                    if point.steps <= self._evaluated.get(series, -1):
                        rest = {name: number for name, number in point.numbers.items() if name != EVALUATION}
                        point = dataclasses.replace(point, numbers=rest)
                    else:
                        self._evaluated[series] = point.steps
                if point.numbers:
                    new[series].append(point)
        self._write(new)


def _point(row: Row) -> Point:
    numbers = {
        name_of(column): float(value) for column, value in row.items() if column not in _AXES and not math.isnan(value)
    }
    return Point(row["steps"], row["wall_time"], numbers)


def _mean(points: Sequence[Point]) -> Point:
    """The mean over seeds of each number, over those seeds that have it."""
    found = collections.defaultdict(list)
    for point in points:
        for name, number in point.numbers.items():
            found[name].append(number)
    steps, seconds = (float(np.mean([getattr(each, name) for each in points])) for name in ("steps", "seconds"))
    return Point(steps, seconds, {name: float(np.mean(each)) for name, each in found.items()})


def hyper_parameters(config: Mapping[str, object]) -> dict[str, str | float | bool]:
    """What decides how a run goes, as words and numbers, in one level."""
    chosen = ("algorithm", "env", "backend", "total_steps")
    found = {name: config[name] for name in chosen}
    hyper, seeds = config["hyper_parameters"], config["seeds"]
    assert isinstance(hyper, Mapping)
    assert isinstance(seeds, list)
    found |= {"seeds": len(seeds)} | {str(name): value for name, value in hyper.items() if name != "description"}
    return {name: _word(value) for name, value in found.items() if value is not None}


def _word(value: object) -> str | float | bool:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return value if isinstance(value, str | float | int | bool) else str(value)
