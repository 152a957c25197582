"""A study is a directory of runs: what was asked for, the runs, and what went wrong. Reading one does not train."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Literal

from steepest.core.errors import InputError
from steepest.core.files import write_atomically, writing
from steepest.experiments.run_state import failure, run_state
from steepest.runs.directory import RunDirectory
from steepest.studies.planned import PlannedRun

State = Literal["waiting", "running", "interrupted", "complete", "failed"]
_STATES: dict[str, State] = {
    "finished": "complete",
    "training": "running",
    "interrupted": "interrupted",
    "failed": "failed",
    "damaged": "failed",
}
"""How a run stands, in the words of a study."""
_PATIENCE = 5.0
"""Seconds in which the processes of a sweep that was killed end."""


@dataclasses.dataclass(frozen=True)
class PlannedRunState:
    """How far a run of a study is.

    - `state`: `complete` when it has made its steps, and was evaluated if that was asked for; `failed` when its last
      attempt failed, or it is damaged; `running` when a process trains in it; `interrupted` when it has begun, and none
      does; else `waiting`.
    - `steps`: environment steps at its newest checkpoint.
    - `mean_return`: of its evaluation at the end; None before, and where there is none.
    - `message`: why it failed.
    """

    name: str
    state: State
    steps: int = 0
    mean_return: float | None = None
    message: str = ""


class StudyDirectory:
    """Where the parts of a study lie.

    - `study.toml`: a copy of what was asked for.
    - `runs/NAME/`: a run directory for each run, as `steepest train` writes it.
    - `failures/NAME.json`: why the last attempt at a run failed, if it did.
    - `logs/NAME.txt`: what the environment and the libraries of a run printed, if they did.
    - `sweep.sbatch`: for Slurm, if it was asked for.

    >>> StudyDirectory("studies/first").run("ppo-CartPole-v1-seed-0").path
    PosixPath('studies/first/runs/ppo-CartPole-v1-seed-0')
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self.lock: int | None = None

    @property
    def file(self) -> pathlib.Path:
        return self.path / "study.toml"

    @property
    def runs(self) -> pathlib.Path:
        return self.path / "runs"

    @property
    def script(self) -> pathlib.Path:
        return self.path / "sweep.sbatch"

    def run(self, name: str) -> RunDirectory:
        """The directory of a run, which may not be there yet."""
        return RunDirectory(self.runs / name)

    def log(self, name: str) -> pathlib.Path:
        """Where what is printed while a run trains goes."""
        return self.path / "logs" / f"{name}.txt"

    def names(self) -> list[str]:
        """The runs that have begun."""
        return sorted(path.parent.name for path in self.runs.glob("*/config.json"))

    def record_failure(self, name: str, message: str) -> None:
        """Write down why an attempt at a run failed."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        path = self._failure(name)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        content = {"run": name, "message": " ".join(message.split()), "time": now}
        write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())

    def forget_failure(self, name: str) -> None:
        """The newest attempt at a run has not failed."""
        with writing(self._failure(name)):
            self._failure(name).unlink(missing_ok=True)

    def _failure(self, name: str) -> pathlib.Path:
        return self.path / "failures" / f"{name}.json"

    def state(self, run: PlannedRun) -> PlannedRunState:
        """How far a run is, from what is on the disk."""
        place = self.run(run.name)
        if not place.config.exists():
            why = failure(place.path)
            return PlannedRunState(run.name, "failed" if why else "waiting", message=why)
        found = run_state(place.path)
        returns = [each["mean_return"] for each in (found.evaluation or {}).get("seeds", ())]
        mean = float(returns[0]) if returns else None
        return PlannedRunState(run.name, _STATES[found.state], found.steps.get(run.seed, 0), mean, found.why)

    @contextlib.contextmanager
    def held(self, *, shared: bool = False) -> Iterator[None]:
        """Work in it alone until the end of a `with`, or beside others that share it; it is made first.

        The lock is the operating system's, so it ends with the last process that has a copy of it.

        **Raises** `InputError` where another one works in it, or it cannot be made.
        """
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            opened = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise InputError(f"study {self.path}: {error.strerror}. Give another place with --out.") from error
        try:
            self._lock(opened, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            self.lock = opened
            yield
        finally:
            self.lock = None
            os.close(opened)

    def _lock(self, opened: int, kind: int) -> None:
        begun = time.monotonic()
        while True:
            try:
                fcntl.flock(opened, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if time.monotonic() - begun > _PATIENCE:
                    raise InputError(
                        f"study {self.path}: another process works on it. Wait until it has ended, or stop it."
                    ) from error
                time.sleep(0.1)
            except OSError as error:
                raise InputError(
                    f"study {self.path}: it cannot be locked ({error.strerror}), so two sweeps could work on it at "
                    f"once. Put it on another disk."
                ) from error

    @classmethod
    def existing(cls, path: str | os.PathLike) -> StudyDirectory:
        """The directory of a study. **Raises** `InputError` when it is none."""
        study = cls(path)
        if not study.file.is_file():
            what = "it has no study.toml" if study.path.is_dir() else "there is no such directory"
            raise InputError(f"study {study.path}: {what}. Give one that steepest sweep has made.")
        return study
