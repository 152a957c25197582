"""Weights & Biases: a run there for each run here."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from steepest.core import interrupts
from steepest.core.errors import InputError, StorageFault
from steepest.core.files import read_at_most, write_atomically
from steepest.runs.directory import RunDirectory
from steepest.runs.listeners import RunDescription
from steepest.runs.loggers.logger import AbstractLogger, Point, Series, hyper_parameters

if TYPE_CHECKING:
    import wandb

_PATIENCE = 60.0
"""Seconds that training waits for a connection, and at its end for what was not sent yet."""
_LONGEST = 2**24
"""Bytes of the file that says what was sent."""


class WandB(AbstractLogger):
    """Sends the numbers of a run to Weights & Biases, or keeps them in `wandb/` of the run directory for later.

    A run there is a run here, with all of its seeds: `rollout/return` is the mean over seeds, `seed-0/rollout/return`
    that of a seed, and `steps`, those of the environment, is the horizontal axis. A run that goes on here goes on
    there. With the environment variable `WANDB_MODE=offline` nothing is sent; `wandb sync` does it afterwards. A
    connection that fails does not end training. It is called in the process that began the run, never in workers.

    **Arguments**

    - `project`: of the run there; `WANDB_PROJECT`, else `steepest`, when left out.
    - `options`: anything else that `wandb.init` takes: `entity`, `group`, `tags`, `mode`, `settings`.

    **Raises** `InputError` where wandb is not installed.

    **Example**

    >>> import steepest
    >>> logger = steepest.WandB(project="pendulums", tags=["first"], mode="offline")
    """

    def __init__(self, project: str | None = None, **options: object):
        if importlib.util.find_spec("wandb") is None:
            raise InputError("log names wandb, which is not installed. Run: pip install 'steepest[wandb]'.")
        self._project, self._options = project, options
        self._session: wandb.Run | None = None
        self._last = 0.0

    def _open(self, run: RunDescription) -> tuple[dict[int, int], dict[Series, float]]:
        import wandb

        sent = _Sent.of(run.directory)
        options: dict = {
            "project": self._project or os.environ.get("WANDB_PROJECT", "steepest"),
            "id": os.environ.get("WANDB_RUN_ID", sent.id) or secrets.token_hex(4),
            "resume": "allow",
            "reinit": "create_new",  # the user may have a run of their own
            "config": hyper_parameters(run.config),
            "settings": wandb.Settings(
                console="off",
                quiet=True,
                symlink=False,
                init_timeout=_PATIENCE,
                login_timeout=_PATIENCE,
                finish_timeout=_PATIENCE,
                finish_timeout_raises=True,
            ),
        }
        if run.directory is not None:
            options |= {"dir": str(run.directory.path), "name": run.directory.path.resolve().name}
        options |= self._options
        try:
            with interrupts.kept():
                self._session = wandb.init(**options)
        except (wandb.Error, TimeoutError) as error:
            said = " ".join(str(error).split()).rstrip(".")
            raise StorageFault(f"wandb: {said}. Log in with: wandb login; or set WANDB_MODE=offline.") from error
        self._session.define_metric("steps", hidden=True)
        self._session.define_metric("*", step_metric="steps")
        if self._session.offline and not sent.online:
            # What was kept before would be sent before it, and be there twice.
            sent = _Sent()
            if run.directory is not None:
                _remove_earlier(run.directory.wandb, self._session.id)
        self._sent = _Sent(self._session.id, sent.online or not self._session.offline, sent.updates, sent.evaluated)
        self._directory = None if self._session.disabled else run.directory
        return dict(sent.updates), dict(sent.evaluated)

    def _write(self, points: Mapping[Series, Sequence[Point]]) -> None:
        assert self._session is not None
        if self._directory is not None:  # first: rather none than twice
            _Sent(self._sent.id, self._sent.online, self._updates, self._evaluated).save(self._directory)
        for series, each in points.items():
            front = "" if series is None or len(self._seeds) == 1 else f"seed-{series}/"
            for point in each:
                numbers = {f"{front}{name}": number for name, number in point.numbers.items()}
                self._session.log({"steps": round(point.steps)} | numbers)
                self._last = max(self._last, point.steps)

    def picture(self, path: pathlib.Path) -> None:
        import wandb

        self._show("learning_curve", wandb.Image(str(path)))

    def recording(self, path: pathlib.Path) -> None:
        import wandb

        self._show("recording", wandb.Video(str(path), format="gif" if path.suffix == ".gif" else "mp4"))

    def _show(self, name: str, media: wandb.Image | wandb.Video) -> None:
        assert self._session is not None
        self._session.log({"steps": round(self._last), name: media})

    def close(self) -> None:
        if self._session is None:
            return
        try:
            self._session.finish()
        except TimeoutError as error:
            raise StorageFault(
                f"wandb: not everything was sent within {_PATIENCE:.0f} s. Send the rest: wandb sync "
                f"{pathlib.Path(self._session.dir).parent}"
            ) from error


class _Sent:
    """What was sent of a run before.

    - `id`: of the run there; empty where nothing was.
    - `online`: whether any of it went to the server, and can no longer be taken back.
    - `updates`: the last one of each seed. `evaluated`: the steps of the last evaluation of each seed, and of the mean.
    """

    def __init__(
        self,
        id: str = "",  # noqa: A002  its name there
        online: bool = False,
        updates: Mapping[int, int] | None = None,
        evaluated: Mapping[Series, float] | None = None,
    ):
        self.id, self.online, self.updates, self.evaluated = id, online, updates or {}, evaluated or {}

    @classmethod
    def of(cls, run: RunDirectory | None) -> _Sent:
        """What the run directory says. **Raises** `InputError` where it is damaged."""
        path = None if run is None else _path(run)
        if path is None or not path.exists():
            return cls()
        try:
            found = json.loads(read_at_most(path, _LONGEST))
            name, online = found["id"], found["online"]
            updates = {int(seed): int(update) for seed, update in found["updates"].items()}
            evaluated = {
                None if seed == "mean" else int(seed): float(steps) for seed, steps in found["evaluated"].items()
            }
            if not re.fullmatch(r"[\w-]{1,64}", name) or not isinstance(online, bool):
                raise ValueError(f"id {name!r}")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path}: it is damaged. Remove it; then the run begins anew at W&B.") from error
        return cls(name, online, updates, evaluated)

    def save(self, run: RunDirectory) -> None:
        """Write it down."""
        evaluated = {"mean" if seed is None else str(seed): steps for seed, steps in self.evaluated.items()}
        content = {"id": self.id, "online": self.online, "updates": self.updates, "evaluated": evaluated}
        path = _path(run)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(content).encode())


def _path(run: RunDirectory) -> pathlib.Path:
    return run.wandb / "sent.json"


def _remove_earlier(place: pathlib.Path, name: str) -> None:
    """Remove what was kept of a run before its newest part, which will hold all of it."""
    for old in sorted(place.glob(f"offline-run-*-{name}"))[:-1]:
        shutil.rmtree(old)
