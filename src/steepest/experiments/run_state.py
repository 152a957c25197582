"""How runs stand, read from their directories without JAX: finished, training now, interrupted, failed or damaged."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Literal

from steepest.core.errors import InputError
from steepest.core.files import JsonObject, read_object
from steepest.core.validation import shown
from steepest.experiments.configuration import RunConfiguration, read_configuration
from steepest.runs.directory import RunDirectory

State = Literal["finished", "training", "interrupted", "failed", "damaged"]
_TAIL = 2**17
"""Bytes at the end of a table of metrics that are looked at."""
_NEVER_RUNS = ("checkpoints", "node_modules", "__pycache__")
"""Names of directories that are not searched for runs."""


@dataclasses.dataclass(frozen=True)
class RunState:
    """A run directory, and how the run stands.

    - `state`: `finished`: every seed has made its steps, and was evaluated if that was asked for. `training`: a process
      trains in it now. `interrupted`: neither, and it can be resumed. `failed`: so does a study say, or an environment
      raised. `damaged`: it cannot be read.
    - `why`: what is wrong, for the last two; else empty.
    - `config`: None where that is damaged.
    - `steps`: of the newest checkpoint of each seed; 0 where there is none.
    - `evaluation`: of the last policies, where it was made.
    - `changed`: seconds since 1970 when it was last written to.
    """

    run: RunDirectory
    state: State
    why: str
    config: RunConfiguration | None
    steps: dict[int, int]
    evaluation: JsonObject | None
    changed: float

    @property
    def path(self) -> pathlib.Path:
        return self.run.path


def run_state(path: str | pathlib.Path) -> RunState:
    """How a run stands. **Raises** `InputError` when the directory is not a run at all."""
    run = RunDirectory.existing(path)
    changed = max((_changed(each) for each in (run.config, run.metrics, run.evaluation)), default=0.0)
    try:
        config = read_configuration(run)
        steps = {seed: _newest_steps(run, seed) for seed in config.seeds}
        evaluation = read_evaluation(run, config)
    except InputError as error:
        state: State = "training" if run.in_use else "damaged"
        return RunState(run, state, str(error), None, {}, None, changed)
    made = all(each >= config.total_steps for each in steps.values())
    if not made:
        evaluation = None  # of the shorter run that this one was
    state, why = _standing(run, made and (evaluation is not None or not config.evaluation_episodes))
    return RunState(run, state, why, config, steps, evaluation, changed)


def _standing(run: RunDirectory, finished: bool) -> tuple[State, str]:
    if run.in_use:
        return "training", ""
    if finished:
        return "finished", ""
    message = failure(run.path)
    if message:
        return "failed", message
    if run.traceback.exists() and _changed(run.traceback) >= _changed(run.metrics):
        return "failed", f"an environment raised; {run.traceback.name} says where"
    return "interrupted", ""


def _changed(path: pathlib.Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _newest_steps(run: RunDirectory, seed: int) -> int:
    """The steps that the newest checkpoint of a seed says it has made. **Raises** `InputError` where it is damaged."""
    updates = [each for each in run.checkpoints(seed).glob("*.json") if each.stem.isdecimal()]
    if not updates:
        return 0
    newest = max(updates, key=lambda each: int(each.stem))
    steps = read_object(newest).get("steps")
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise InputError(f"checkpoint {newest}: steps is {shown(steps)}; it must be a whole number.")
    return steps


def read_evaluation(run: RunDirectory, config: RunConfiguration) -> JsonObject | None:
    """The evaluation of a run's last policies; None where there is none.

    **Raises** `InputError` where it is damaged, or is not of the seeds of this run.
    """
    if not run.evaluation.is_file():
        return None
    found = read_object(run.evaluation)
    seeds = found.get("seeds")
    numbers = {"seed": int, "mean_return": float, "std_return": float, "episodes_cut": int}
    rows = seeds if isinstance(seeds, list) else []
    whole = all(
        isinstance(each, dict) and all(type(each.get(name)) in (kind, int) for name, kind in numbers.items())
        for each in rows
    )
    if not whole or sorted(each["seed"] for each in rows) != sorted(config.seeds):
        raise InputError(
            f"{run.evaluation}: it is not an evaluation of seeds {list(config.seeds)}. Delete it, and evaluate again: "
            f"steepest resume {run.path}"
        )
    return found


def failure(path: pathlib.Path) -> str:
    """What a study says of the last attempt at a run, if that failed; else nothing."""
    note = path.parent.parent / "failures" / f"{path.name}.json"
    if path.parent.name != "runs" or not note.is_file():
        return ""
    try:
        return str(read_object(note).get("message", "")) or "it failed"
    except InputError as error:
        return str(error)


def is_study(path: pathlib.Path) -> bool:
    """Whether a directory is a study: it says what to run, and has the runs."""
    return (path / "study.toml").is_file()


def failures(study: pathlib.Path) -> dict[str, str]:
    """Of a study, the names of the runs whose last attempt failed, and what was said."""
    notes = sorted((study / "failures").glob("*.json"))
    return {each.stem: failure(study / "runs" / each.stem) for each in notes}


def find_runs(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """The run directories in and below a directory. Hidden directories and links are not followed."""
    for place, folders, files in os.walk(directory):
        folders.sort()
        if "config.json" in files and _looks_like_a_run(pathlib.Path(place)):
            folders.clear()
            yield pathlib.Path(place)
            continue
        folders[:] = [each for each in folders if not each.startswith(".") and each not in _NEVER_RUNS]


def _looks_like_a_run(path: pathlib.Path) -> bool:
    """Many programs have a `config.json`; a damaged one of ours still has what else a run has, or says so itself."""
    if any((path / each).exists() for each in ("metrics.csv", "checkpoints", "evaluation.json")):
        return True
    try:
        return {"algorithm", "seeds_per_process"} <= set(read_object(path / "config.json"))
    except InputError:
        return False


def latest_return(run: RunDirectory) -> float | None:
    """The mean over seeds of the return in each one's newest row of metrics; None where no episode has ended.

    Only the end of the table is read: enough to see how a run goes, however long it is.
    """
    try:
        with run.metrics.open("rb") as file:
            names = file.readline(_TAIL).decode(errors="replace").rstrip("\r\n").split(",")
            begin = file.tell()
            file.seek(max(begin, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return None
    found: dict[str, float] = {}
    for line in lines[:-1]:  # what comes after the last end of a line is no whole row
        cells = dict(zip(names, line.rstrip("\r").split(","), strict=False))
        value = _finite(cells.get("return", ""))
        if value is not None and "seed" in cells:
            found[cells["seed"]] = value
    return sum(found.values()) / len(found) if found else None


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
