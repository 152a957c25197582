"""How a search goes, for a person at a terminal or for a log."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from steepest.experiments.time_left import Pace, TimeLeft, in_clock
from steepest.studies.engine import AbstractWatcher
from steepest.studies.planned import PlannedRun
from steepest.studies.study_directory import PlannedRunState
from steepest.studies.trials import Trial

_LINE_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal to redraw."""


class TuneDisplay(AbstractWatcher):
    """A line for each trial that ends, and a bar with the best so far and the time left.

    **Arguments**

    - `show`: whether anything is shown.
    """

    def __init__(self, *, show: bool):
        self._console = Console(stderr=True)
        self._show, self._live = show, show and self._console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeLeft(),
            console=self._console,
            disable=not self._live,
        )
        self._pace, self._done, self._total = Pace(), 0, 0
        self._task = self._bar.add_task("", total=None, said="", visible=False)
        self._best = -math.inf
        self._told = time.monotonic()

    def __enter__(self) -> TuneDisplay:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """Show a line."""
        if self._show:
            with contextlib.suppress(OSError):  # a log on a full disk must not end what it is about
                self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def phase(self, name: str, total: int, done: int = 0) -> None:
        """Something begins that is counted."""
        self._pace, self._done, self._total = Pace(done), done, total
        self._bar.update(
            self._task, description=name, total=total, completed=done, said="", visible=True, pace=self._pace
        )

    def trial(self, trial: Trial, total: int, *, shown: bool = True) -> None:
        """A trial is over."""
        better = trial.state == "complete" and trial.mean > self._best
        self._best = max(self._best, trial.mean) if better else self._best
        best = f"best {self._best:.4g}" if self._best > -math.inf else ""
        self._one_more()
        self._bar.update(self._task, said=best)
        if not shown:
            return
        counted = f"{len(trial.returns)} seed{'s' if len(trial.returns) > 1 else ''}"
        what = {
            "complete": f"{trial.mean:.1f} over {counted}{', the best so far' if better else ''}",
            "pruned": f"{trial.mean:.1f} over {counted}, which is enough to see that it is worse",
            "failed": f"failed: {trial.reason}",
            "running": "not over",
        }[trial.state]
        self.say(f"trial {trial.number + 1}/{total}: {what}  ({words(trial.hyper)}){self._left()}")

    def advance(self, text: str) -> None:
        """One more of what is counted is over."""
        self._one_more()
        self._line(f"{text}{self._left()}")

    def notice(self, run: PlannedRun, text: str) -> None:
        self.say(f"{run.name}: {text}")

    def ended(self, run: PlannedRun, state: PlannedRunState) -> None:
        if state.state == "failed":
            self.say(f"{run.name}: failed: {state.message}")

    def _one_more(self) -> None:
        self._done += 1
        self._pace.report(self._done)
        self._bar.update(self._task, completed=self._done)

    def _left(self) -> str:
        """How long the rest takes, where no bar shows it."""
        seconds = None if self._live else self._pace.left(self._total)
        return "" if not seconds else f", {in_clock(seconds)} left"

    def _line(self, text: str) -> None:
        if not self._show or self._live or time.monotonic() - self._told < _LINE_EVERY:
            return
        self._told = time.monotonic()
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def words(hyper: Mapping[str, object]) -> str:
    """Hyper-parameters in a line.

    >>> words({"learning_rate": 0.001, "hidden": (32, 32)})
    'learning_rate 0.001, hidden 32 32'
    """
    shown = {name: " ".join(map(str, each)) if isinstance(each, tuple) else each for name, each in hyper.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())
