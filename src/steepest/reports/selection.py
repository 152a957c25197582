"""Which runs are compared, and what is read of them."""

from __future__ import annotations

import dataclasses
import pathlib
import warnings
from collections.abc import Sequence

import numpy as np

from steepest.core.errors import InputError
from steepest.experiments.configuration import RunConfiguration
from steepest.experiments.run_state import RunState, failures, find_runs, is_study, run_state
from steepest.runs import metrics


@dataclasses.dataclass(frozen=True)
class ChosenRun:
    """A run that is to be compared.

    - `name`: its path, as it was found.
    - `label`: what to call its method, where that was given; else empty.
    - `state`: how it stands.
    - `columns`: of its metrics; None where there are none, or they are damaged.
    - `doubts`: what is wrong with them, if anything.
    """

    name: str
    label: str
    state: RunState
    columns: dict[str, np.ndarray] | None
    doubts: tuple[str, ...] = ()

    @property
    def config(self) -> RunConfiguration:
        """Its configuration, which it has unless it is damaged."""
        assert self.state.config is not None
        return self.state.config


@dataclasses.dataclass(frozen=True)
class Selection:
    """Runs that can be read, and what is wrong with others.

    - `failed`: of runs that left nothing, or cannot be read: their names and what was said.
    """

    runs: list[ChosenRun]
    failed: dict[str, str]


def select(paths: Sequence[str | pathlib.Path], labels: Sequence[str] = ()) -> Selection:
    """The runs in directories: each may be a run, a study, or one that has runs somewhere below it.

    **Arguments**

    - `labels`: what to call the methods, one for each path; none for the names of their algorithms.

    **Raises** `InputError` for a directory without a run, or labels that are not as many as the paths.
    """
    if not paths:
        raise InputError("runs: none are given. Give run directories or studies, at least one.")
    if labels and len(labels) != len(paths):
        raise InputError(
            f"labels: {len(labels)} given, for {len(paths)} of what is compared. Give one for each, or none."
        )
    runs: dict[pathlib.Path, ChosenRun] = {}
    failed: dict[str, str] = {}
    for index, given in enumerate(paths):
        path = pathlib.Path(given)
        found = [path] if (path / "config.json").is_file() else list(find_runs(path))
        missing = failures(path) if is_study(path) else {}
        if not found and not missing:
            what = "no run in it" if path.is_dir() else "there is no such directory"
            raise InputError(f"run directory {path}: {what}. Give one that steepest train or steepest sweep has made.")
        for each in found:
            place = each.resolve()
            if place in runs:  # given twice, it is still one
                continue
            state = run_state(each)
            if state.config is None:
                failed[str(each)] = state.why
            else:
                runs[place] = ChosenRun(str(each), labels[index] if labels else "", state, *_columns(state))
        there = {each.name for each in found}
        failed |= {str(path / "runs" / name): why for name, why in missing.items() if name not in there}
    return Selection(list(runs.values()), failed)


def _columns(state: RunState) -> tuple[dict[str, np.ndarray] | None, tuple[str, ...]]:
    """The metrics of a run, and what is wrong with them; where they cannot be read, statistics do without curves."""
    if not state.run.metrics.is_file():
        return None, ()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            columns = metrics.read(state.run.metrics)
        except InputError as error:
            return None, (str(error),)
    return columns, tuple(str(each.message) for each in heard)
