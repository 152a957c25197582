"""A run is a directory: what was asked for, what happened, what came of it. Reading one does not import JAX."""

import contextlib
import fcntl
import json
import os
import pathlib
from collections.abc import Iterator

from steepest.core.errors import InputError

_LONGEST = 2**24
"""Bytes of a configuration: that of an algorithm of the user's own describes all of its parts."""


class RunDirectory:
    """Where the parts of a run lie.

    - `config.json`: everything needed to repeat it.
    - `metrics.csv`: a row for each update and seed.
    - `checkpoints/seed-K/`: the newest states of each seed.
    - `demonstrations.safetensors`: what it learns from, where that is not an environment.
    - `evaluation.json`, `curve.png`: what came of it.

    `lock` is the descriptor that holds it while this process trains in it. A worker process gets a copy: so no other
    process begins before the last worker of one that was killed has ended.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self.lock: int | None = None
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.csv"
        self.demonstrations = self.path / "demonstrations.safetensors"
        self.evaluation = self.path / "evaluation.json"
        self.curve = self.path / "curve.png"

    def checkpoints(self, seed: int) -> pathlib.Path:
        """Where the checkpoints of a seed lie."""
        return self.path / "checkpoints" / f"seed-{seed}"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Train in it alone, until the end of a `with`. **Raises** `InputError` when another process does.

        The lock is the operating system's, so it ends with a process that is killed.
        """
        opened = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"run directory {self.path}: another process trains in it. Wait until it has ended, or stop it."
            ) from error
        else:
            self.lock = opened
            yield
        finally:
            self.lock = None
            os.close(opened)

    @classmethod
    def fresh(cls, path: str | os.PathLike | None, label: str) -> "RunDirectory":
        """A directory for a new run, not made yet: `path`, or the next free `runs/LABEL-n`.

        **Raises** `InputError` when `path` exists and is not an empty directory.
        """
        if path is None:
            parent = pathlib.Path("runs")
            numbers = [
                int(tail) for each in parent.glob(f"{label}-*") if (tail := each.name[len(label) + 1 :]).isdecimal()
            ]
            return cls(parent / f"{label}-{max(numbers, default=0) + 1}")
        target = pathlib.Path(path)
        if target.exists() and not target.is_dir():
            raise InputError(f"run directory {target}: a file of that name exists. Choose another with --run-dir.")
        if target.is_dir() and any(target.iterdir()):
            raise InputError(
                f"run directory {target}: it is not empty. Choose another with --run-dir, or go on with it: "
                f"steepest resume {target}"
            )
        return cls(target)

    @classmethod
    def existing(cls, path: str | os.PathLike) -> "RunDirectory":
        """The directory of a run. **Raises** `InputError` when it is not one."""
        run = cls(path)
        if not run.config.is_file():
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


def read_at_most(path: pathlib.Path, most: int) -> bytes:
    """The content of a file. **Raises** `InputError` where it cannot be read, or is longer than such a file can be."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= most:
                return file.read(most)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}. Restore it from a copy.") from error
    raise InputError(f"{path}: it has {size} bytes, and at most {most} are possible. Restore it from a copy.")
