"""Sweeps: every algorithm of a study on every environment, with every setting and every seed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from steepest.core.errors import InputError, unknown
from steepest.core.files import write_atomically
from steepest.core.interrupts import Stop, end_if_asked, interruptible
from steepest.core.validation import whole_number
from steepest.runs.statistics import bootstrap_interval, interquartile_mean
from steepest.studies.begun import adopted, checked
from steepest.studies.description import Study, read_study, study_of
from steepest.studies.display import StudyDisplay, say
from steepest.studies.engine import AbstractExecutor, Engine
from steepest.studies.local import LocalExecutor
from steepest.studies.on_ray import RayExecutor
from steepest.studies.planned import PlannedRun
from steepest.studies.slurm import write_script
from steepest.studies.study_directory import PlannedRunState, StudyDirectory

StudyLike = str | os.PathLike | Mapping[str, Any]
"""A file in TOML, the directory of a study that exists, or a dictionary with what a file has."""
MOST_PROCESSES = 4096


@dataclasses.dataclass(frozen=True)
class SweepResult:
    """What came of a sweep.

    - `directory`: of the study.
    - `runs`, `states`: what was to be made, in order, and how far each is.
    - `interrupted`: whether it was asked to end before all had.
    """

    directory: pathlib.Path
    runs: tuple[PlannedRun, ...]
    states: tuple[PlannedRunState, ...]
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Whether every run is."""
        return all(each.state == "complete" for each in self.states)

    @property
    def failed(self) -> list[PlannedRunState]:
        """The runs whose last attempt failed."""
        return [each for each in self.states if each.state == "failed"]

    def groups(self) -> list[dict[str, Any]]:
        """What the seeds say together: an object for each algorithm, environment and setting.

        `runs` is how many are complete, of `of`; `iqm` is the interquartile mean of their evaluations over seeds, with
        its interval; both are None where there is nothing to average.
        """
        found: dict[str, list[tuple[PlannedRun, PlannedRunState]]] = {}
        for run, state in zip(self.runs, self.states, strict=True):
            found.setdefault(run.but_for_the_seed, []).append((run, state))
        return [_summary(members) for members in found.values()]

    def to_json(self) -> dict[str, Any]:
        """What `steepest sweep --json` prints."""
        runs = [
            {
                **{name: getattr(run, name) for name in ("name", "algorithm", "env", "setting", "seed")},
                "hyper_parameters": dict(run.hyper),
                "total_steps": run.options["total_steps"],
                **{name: value for name, value in dataclasses.asdict(state).items() if name != "name"},
            }
            for run, state in zip(self.runs, self.states, strict=True)
        ]
        return {"study": str(self.directory), "complete": self.complete, "runs": runs, "groups": self.groups()}


def _summary(members: Sequence[tuple[PlannedRun, PlannedRunState]]) -> dict[str, Any]:
    first = members[0][0]
    means = np.array([state.mean_return for _, state in members if state.mean_return is not None])
    iqm, interval = None, None
    if len(means):
        iqm = float(interquartile_mean(means))
    if len(means) > 1:
        interval = [float(each) for each in bootstrap_interval(means)]
    return {
        "name": first.name.removesuffix(f"-seed-{first.seed}"),
        "algorithm": first.algorithm,
        "env": first.env,
        "runs": sum(state.state == "complete" for _, state in members),
        "of": len(members),
        "iqm": iqm,
        "iqm_ci95": interval,
    }


def sweep(
    study: StudyLike,
    *,
    out: str | os.PathLike | None = None,
    processes: int | None = None,
    ray_address: str | None = None,
    slurm: bool = False,
    only: str | None = None,
    retry_failed: bool = True,
    dry_run: bool = False,
    progress: bool = False,
) -> SweepResult:
    """Make every run of a study, or go on with one: what is complete is left, and what has begun goes on.

    Everything is checked before anything starts. A run that fails is named, and the others are made.

    **Arguments**

    - `study`: a file in TOML, a dictionary with what such a file has, or the directory of a study that exists.
    - `out`: the directory of the study; when left out, `studies/` and the name of the file.
    - `processes`: how many processors may be busy at once; all that there are when left out. A run on a compiled
      environment keeps one busy, one on another environment two.
    - `ray_address`: make the runs on a Ray cluster: `auto`, `HOST:PORT`, or `local` to start one here. The directory
      must be on a disk that all of its machines see.
    - `slurm`: make nothing, and write a script that does to `sweep.sbatch` in the directory.
    - `only`: the name of one run, or its number from 0 on; make no other.
    - `retry_failed`: try those again that have failed.
    - `dry_run`: check, and make nothing.
    - `progress`: show how it goes.

    **Raises** `InputError` for anything that cannot work, before anything starts; where a run has begun with another
    meaning; and where another sweep of this study is under way.

    **Example**

        study = {"algorithms": ["ppo", "a2c"], "envs": "CartPole-v1", "seeds": "0-4", "total_steps": 50_000}
        result = steepest.sweep(study, out="studies/first", progress=True)
        print([(group["name"], group["iqm"]) for group in result.groups()])
    """
    _check_choices(ray_address=ray_address, slurm=slurm, only=only, processes=processes)
    described, directory = _find(study, out)
    with interruptible() as stop:
        if dry_run:
            with LocalExecutor(directory, processes) as executor:
                runs = _checked(directory, described.runs, executor, show=progress)
            return _result(directory, runs, stop)
        new = [each for each in (directory.path, *directory.path.parents) if not each.exists()]
        with (
            _removed_if_empty(new),
            directory.held(shared=only is not None),
            _executor(directory, processes, ray_address) as executor,
        ):
            runs = _checked(directory, described.runs, executor, show=progress)
            if only is None or not directory.file.exists():
                write_atomically(directory.file, described.text.encode())
                _warn_of_others(directory, runs)
            if only is not None:
                runs = _only(runs, only)
            if slurm:
                write_script(directory, [run for run in runs if directory.state(run).state != "complete"])
            else:
                _make(directory, runs, executor, stop, retry_failed=retry_failed, progress=progress)
    result = _result(directory, runs, stop)
    end_if_asked(stop)
    return result


def _make(
    directory: StudyDirectory,
    runs: Sequence[PlannedRun],
    executor: AbstractExecutor,
    stop: Stop,
    *,
    retry_failed: bool,
    progress: bool,
) -> None:
    states = [(run, directory.state(run)) for run in runs]
    with StudyDisplay(states, show=progress) as display:
        engine = Engine(directory, executor, watcher=display)
        for run, state in states:
            if state.state != "complete" and (retry_failed or state.state != "failed"):
                engine.submit(run)
        for _ in engine.ended(stop):
            pass


def _check_choices(*, ray_address: str | None, slurm: bool, only: str | None, processes: int | None) -> None:
    if processes is not None:
        whole_number("processes", processes, at_least=1, at_most=MOST_PROCESSES, remedy="Leave it out for all.")
    given = [name for name, value in (("ray_address", ray_address), ("slurm", slurm), ("only", only)) if value]
    if len(given) > 1:
        raise InputError(f"{given[0]} and {given[1]} are both given; they exclude each other. Leave one out.")
    if ray_address is not None:
        RayExecutor.check_address(ray_address)


def _find(study: StudyLike, out: str | os.PathLike | None) -> tuple[Study, StudyDirectory]:
    """What is to be made, and where."""
    if isinstance(study, Mapping):
        if out is None:
            raise InputError("out is missing; give the directory of the study.")
        return study_of(study), StudyDirectory(out)
    path = pathlib.Path(study)
    if path.is_dir() and (path / "study.toml").is_file():
        path = path / "study.toml"
    inside = path.name == "study.toml" and (path.parent / "runs").is_dir()
    if inside and out is not None and pathlib.Path(out).resolve() != path.parent.resolve():
        raise InputError(f"out is {out}, and {path.parent} is a study with runs of its own. Leave out out.")
    directory = path.parent if inside else pathlib.Path("studies") / path.stem if out is None else pathlib.Path(out)
    return read_study(path), StudyDirectory(directory)


def _executor(directory: StudyDirectory, processes: int | None, ray_address: str | None) -> AbstractExecutor:
    if ray_address is None:
        return LocalExecutor(directory, processes)
    return RayExecutor(directory, ray_address, processes)


def _checked(
    directory: StudyDirectory, runs: Sequence[PlannedRun], executor: AbstractExecutor, *, show: bool
) -> list[PlannedRun]:
    """The runs, each under the name that it has begun with. **Raises** `InputError` for what cannot be made."""
    if show:
        settings = len({run.but_for_the_seed for run in runs})
        say(f"{directory.path}: {len(runs)} runs; checking {settings} combinations that differ in more than the seed")
    asked = executor.configurations(runs)
    return checked(directory, adopted(directory, runs, asked), asked)


def _only(runs: Sequence[PlannedRun], which: str) -> list[PlannedRun]:
    found = [run for index, run in enumerate(runs) if which in (run.name, str(index))]
    if not found:
        if which.isdecimal():
            raise InputError(f"only is {which}; the runs of the study have the numbers 0 to {len(runs) - 1}.")
        raise unknown("run", which, [run.name for run in runs], "steepest sweep --dry-run")
    return found


def _warn_of_others(directory: StudyDirectory, runs: Sequence[PlannedRun]) -> None:
    """Warn of runs that nobody asks for any more; they are left as they are."""
    others = sorted(set(directory.names()) - {run.name for run in runs})
    if others:
        listed = f"{others[0]} and {len(others) - 1} others are" if len(others) > 1 else f"{others[0]} is"
        warnings.warn(
            f"{listed} not in the study any more, and left in {directory.runs}. Remove what should not count.",
            RuntimeWarning,
            stacklevel=4,
        )


@contextlib.contextmanager
def _removed_if_empty(made: Sequence[pathlib.Path]):
    """Remove a study that was not there before, if nothing is asked of it after all."""
    try:
        yield
    except InputError:
        if made and not (made[0] / "study.toml").exists():
            shutil.rmtree(made[0] / "logs", ignore_errors=True)
            with contextlib.suppress(OSError):
                (made[0] / ".lock").unlink(missing_ok=True)
                for each in (made[0] / "runs", *made):
                    each.rmdir()
        raise


def _result(directory: StudyDirectory, runs: Sequence[PlannedRun], stop: Stop) -> SweepResult:
    return SweepResult(directory.path, tuple(runs), tuple(directory.state(run) for run in runs), stop())
