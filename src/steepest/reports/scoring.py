"""The score of every seed, what it was measured by, and how scores of several tasks are put on one scale."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import tomllib
from collections.abc import Mapping, Sequence

import numpy as np

from steepest.core.errors import InputError
from steepest.core.files import read_at_most
from steepest.reports.grouping import Method
from steepest.reports.selection import ChosenRun
from steepest.runs.plot import learning_curve

_LONGEST = 2**20


@dataclasses.dataclass(frozen=True)
class SeedResult:
    """What one seed of a run came to.

    - `score`: its final return; NaN where it has none that is comparable.
    - `deviation`: of its episodes, where they were evaluated.
    - `pooled`: whether it counts in what is said of its method; `note` says why not.
    - `wall_time`: seconds of training; those of seeds side by side are the same seconds.
    """

    task: str
    method: str
    algorithm: str
    seed: int
    run: ChosenRun
    score: float
    deviation: float
    episodes_cut: int
    steps: int
    wall_time: float
    steps_per_second: float
    pooled: bool
    note: str


@dataclasses.dataclass(frozen=True)
class Scale:
    """How scores of a task are normalised: `low` becomes 0, and `high` 1; NaN where there is nothing to compare."""

    low: float
    high: float

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        if self.low == self.high:  # nobody differs, so nobody falls short
            return np.asarray(np.where(scores < self.high, 0.0, 1.0))
        return np.asarray((scores - self.low) / (self.high - self.low))


def measured_by(task: str, methods: Sequence[Method]) -> str:
    """What the scores of a task are: `evaluation` where every finished run has one, else `training`."""
    runs = [run for method in methods for run in method.runs.get(task, []) if run.state.state == "finished"]
    return "evaluation" if all(run.state.evaluation is not None for run in runs) else "training"


def seed_results(methods: Sequence[Method], sources: Mapping[str, str]) -> list[SeedResult]:
    """Every seed of every run, in the order of tasks and methods.

    Seeds of runs that have not finished are not pooled, and neither is a seed of a method that was there before: a seed
    that is trained twice is no second sample.

    **Arguments**

    - `sources`: for each task, what its scores are; see `measured_by`.
    """
    found = []
    for task, source in sources.items():
        for method in methods:
            before: set[int] = set()
            for run in method.runs.get(task, []):
                for result in _of_run(task, method, run, source):
                    doubled = result.pooled and result.seed in before
                    note = "the same seed again, which is no second sample" if doubled else result.note
                    found.append(dataclasses.replace(result, pooled=result.pooled and not doubled, note=note))
                    before |= {result.seed} if result.pooled else set()
    return found


def _of_run(task: str, method: Method, run: ChosenRun, source: str) -> list[SeedResult]:
    state, columns = run.state, run.columns
    evaluated = {each["seed"]: each for each in (state.evaluation or {}).get("seeds", [])}
    played = _played(columns)
    results = []
    for seed in sorted(run.config.seeds):
        evaluation = evaluated.get(seed)
        by_evaluation = source == "evaluation" and evaluation is not None
        score = float(evaluation["mean_return"]) if by_evaluation and evaluation else played.get(seed, math.nan)
        finished = state.state == "finished"
        note = f"{state.state}: {state.why}" if state.why else ("" if finished else state.state)
        if finished and not math.isfinite(score):
            note = "no return is known"
        chosen = np.zeros(0, bool) if columns is None else columns["seed"] == seed
        rows = {name: values[chosen] for name, values in (columns or {}).items()}
        some = chosen.any()
        results.append(
            SeedResult(
                task,
                method.name,
                method.algorithm,
                seed,
                run,
                score,
                float(evaluation["std_return"]) if by_evaluation and evaluation else math.nan,
                int(evaluation["episodes_cut"]) if by_evaluation and evaluation else 0,
                int(rows["steps"].max()) if some else state.steps.get(seed, 0),
                float(np.nanmax(rows["wall_time"])) if some else math.nan,
                float(np.nanmedian(rows["steps_per_second"])) if some else math.nan,
                finished and math.isfinite(score),
                note,
            )
        )
    return results


def _played(columns: Mapping[str, np.ndarray] | None) -> dict[int, float]:
    """The mean return of the episodes that each seed played last while it learnt."""
    found = {}
    for seed in [] if columns is None else np.unique(columns["seed"]):
        own = {name: values[columns["seed"] == seed] for name, values in columns.items()} if columns else {}
        if (own["episodes"] > 0).any():
            found[int(seed)] = float(learning_curve(own)[1][-1, 0])
    return found


def read_scales(path: pathlib.Path) -> dict[str, Scale]:
    """The table of `--normalise`: for each environment in a file of TOML, the returns that become 0 and 1.

        ["CartPole-v1"]
        low = 20
        high = 500

    **Raises** `InputError` where it cannot be read, or a number is missing.
    """
    if not path.is_file():
        raise InputError(
            f"normalise {path}: there is no such file. Give one in TOML with low and high of environments."
        )
    try:
        table = tomllib.loads(read_at_most(path, _LONGEST).decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"normalise {path}: not valid TOML ({error}). Correct it.") from error
    scales = {}
    for name, given in table.items():
        ends = [given.get(each) for each in ("low", "high")] if isinstance(given, dict) else [None, None]
        good = all(isinstance(each, int | float) and math.isfinite(each) for each in ends)
        if not good or not ends[0] < ends[1]:  # pyright: ignore[reportOptionalOperand]
            raise InputError(
                f"normalise {path}: {name!r} has low {ends[0]!r} and high {ends[1]!r}; they must be numbers, the first "
                f"less than the second: low = 20 and high = 500, say."
            )
        scales[name] = Scale(float(ends[0]), float(ends[1]))  # pyright: ignore[reportArgumentType]
    return scales


def scales_of(
    results: Sequence[SeedResult], tasks: Mapping[str, str], given: Mapping[str, Scale] | None
) -> dict[str, Scale]:
    """The scale of each task: as given by its name or its environment's, else from the lowest to the highest score.

    **Arguments**

    - `tasks`: for each task, the id of its environment.

    **Raises** `InputError` for a task that the given table lacks.
    """
    found = {}
    for task, env in tasks.items():
        scores = [each.score for each in results if each.task == task and each.pooled]
        if given is None:
            found[task] = Scale(min(scores, default=math.nan), max(scores, default=math.nan))
        elif task in given or env in given:
            found[task] = given.get(task) or given[env]
        else:
            raise InputError(f'normalise: the table has no {env!r}. Add it: ["{env}"] with low and high.')
    return found
