"""A run is a directory: what was asked for, what happened, what came of it. Reading one does not import JAX."""

import contextlib
import fcntl
import glob
import json
import os
import pathlib
import time
from collections.abc import Iterator

from steepest.core.errors import InputError
from steepest.core.files import read_at_most
from steepest.core.validation import shown

_LONGEST = 2**24
"""Bytes of a configuration: that of an algorithm of the user's own describes all of its parts."""
_GLANCE = 0.1
"""Seconds after which to try again for a lock: whoever only asks whether it is in use holds it for a moment."""


class RunDirectory:
    """Where the parts of a run lie.

    - `config.json`: everything needed to repeat it.
    - `metrics.csv`: a row for each update and seed; `metrics.csv.sha256` tells whether it was changed.
    - `checkpoints/seed-K/`: the newest states of each seed.
    - `demonstrations.safetensors`: what it learns from, where that is not an environment.
    - `evaluation.json`, `curve.png`: what came of it.
    - `tensorboard`, `wandb`: what was logged, where it was.
    - `traceback.txt`: where in whose code an environment raised, if one did.

    `new` says that nothing has begun in it yet, and `held` makes it. `lock` is the descriptor that holds it while this
    process trains in it. A worker process gets a copy: so no other process begins before the last worker of one that
    was killed has ended.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self.lock: int | None = None
        self.new = False
        self._label: str | None = None

    @property
    def config(self) -> pathlib.Path:
        return self.path / "config.json"

    @property
    def metrics(self) -> pathlib.Path:
        return self.path / "metrics.csv"

    @property
    def demonstrations(self) -> pathlib.Path:
        return self.path / "demonstrations.safetensors"

    @property
    def evaluation(self) -> pathlib.Path:
        return self.path / "evaluation.json"

    @property
    def curve(self) -> pathlib.Path:
        return self.path / "curve.png"

    @property
    def tensorboard(self) -> pathlib.Path:
        return self.path / "tensorboard"

    @property
    def wandb(self) -> pathlib.Path:
        return self.path / "wandb"

    @property
    def traceback(self) -> pathlib.Path:
        return self.path / "traceback.txt"

    def checkpoints(self, seed: int) -> pathlib.Path:
        """Where the checkpoints of a seed lie."""
        return self.path / "checkpoints" / f"seed-{seed}"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Train in it alone, until the end of a `with`; a new one is made first, and removed if nothing was put in.

        The lock is the operating system's, so it ends with a process that is killed.

        **Raises** `InputError` when another process trains in it, a new one is not empty, or something in it is a link
        that leads out of it, or it cannot be made.
        """
        made = self._make() if self.new else []
        try:
            opened = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise InputError(f"run directory {self.path}: {error.strerror}. Give another.") from error
        try:
            self._lock(opened)
            if self.new:
                self._check_empty()
            else:
                self._check_links()
            self.lock = opened
            yield
        finally:
            self.lock = None
            os.close(opened)
            with contextlib.suppress(OSError):
                for each in made:
                    each.rmdir()  # those that are not empty stay

    @property
    def in_use(self) -> bool:
        """Whether a process trains in it now."""
        try:
            opened = os.open(self.path, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(opened)  # which unlocks it too
        return False

    def _lock(self, opened: int) -> None:
        try:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_GLANCE)
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            remedy = "Give another with --run-dir" if self.new else "Wait until it has ended, or stop it"
            raise InputError(f"run directory {self.path}: another process trains in it. {remedy}.") from error
        except OSError as error:
            raise InputError(
                f"run directory {self.path}: it cannot be locked ({error.strerror}), so two processes could train in "
                f"it. Put it on another disk."
            ) from error

    def _make(self) -> list[pathlib.Path]:
        """Make the directory, under the next free number if it has one; returns what was made, the innermost first.

        Of processes that do so at once, each gets a number of its own.
        """
        while True:
            missing = [each for each in (self.path, *self.path.parents) if not each.exists()]
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.mkdir(exist_ok=self._label is None)
                return missing
            except OSError as error:
                if self._label is None or not self.path.is_dir():
                    raise InputError(
                        f"run directory {self.path}: {error.strerror}. Give another with --run-dir."
                    ) from error
            self.path = _numbered(self._label)

    def _check_empty(self) -> None:
        if any(self.path.iterdir()):
            raise InputError(
                f"run directory {self.path}: it is not empty. Choose another with --run-dir, or go on with it: "
                f"steepest resume {self.path} (--total-steps makes one that has finished longer)"
            )

    def _check_links(self) -> None:
        """**Raises** `InputError` where training would write outside the directory."""
        inside = self.path.resolve()
        for each in self.path.rglob("*"):
            parts = each.relative_to(self.path).parts
            if parts[0] == self.wandb.name and len(parts) > 2:
                continue  # what wandb keeps of its sessions has links, and each session writes into a new place
            if each.is_symlink() and not each.resolve().is_relative_to(inside):
                raise InputError(
                    f"run directory {self.path}: {each.relative_to(self.path)} is a link that leads out of it. Put a "
                    f"copy in its place."
                )

    @classmethod
    def fresh(cls, path: str | os.PathLike | None, label: str) -> "RunDirectory":
        """A directory for a new run, not made yet: `path`, or the next free `runs/LABEL-n`.

        **Raises** `InputError` when `path` exists and is not an empty directory.
        """
        run = cls(_numbered(label) if path is None else path)
        run.new, run._label = True, label if path is None else None
        try:
            run.path.exists()
        except OSError as error:
            raise InputError(
                f"run directory {_short(run.path)}: {error.strerror}. Choose another with --run-dir."
            ) from error
        there = next((each for each in (run.path, *run.path.parents) if each.exists()), run.path)
        if there.exists() and not there.is_dir():
            what = "a file of that name exists" if there == run.path else f"{there} is a file"
            raise InputError(f"run directory {run.path}: {what}. Choose another with --run-dir.")
        if run.path.is_dir():
            run._check_empty()
        return run

    @classmethod
    def existing(cls, path: str | os.PathLike) -> "RunDirectory":
        """The directory of a run. **Raises** `InputError` when it is not one."""
        run = cls(path)
        try:
            found = run.config.is_file()
        except OSError as error:
            raise InputError(f"run directory {_short(run.path)}: {error.strerror}. Give another.") from error
        if not found:
            if (run.path / "study.toml").is_file():
                raise InputError(
                    f"run directory {run.path}: it is a study. Give one of its runs: steepest runs {run.path}"
                )
            what = "it has no config.json" if run.path.is_dir() else "there is no such directory"
            raise InputError(f"run directory {run.path}: {what}. Give one that steepest train has written.")
        return run

    def read_config(self) -> object:
        """The configuration as it is written. **Raises** `InputError` when it cannot be read."""
        try:
            content = read_at_most(self.config, _LONGEST)
            return json.loads(content)
        except RecursionError as error:
            raise InputError(f"{self.config}: its brackets are nested too deeply. Restore it from a copy.") from error
        except ValueError as error:
            raise InputError(f"{self.config}: not valid JSON ({error}). Restore it from a copy.") from error


def _short(path: pathlib.Path) -> str:
    return shown(str(path)).strip("'")


def _numbered(label: str) -> pathlib.Path:
    """The next free `runs/LABEL-n`."""
    tails = (each.name[len(label) + 1 :] for each in pathlib.Path("runs").glob(f"{glob.escape(label)}-*"))
    return pathlib.Path("runs") / f"{label}-{max((int(tail) for tail in tails if tail.isdecimal()), default=0) + 1}"
