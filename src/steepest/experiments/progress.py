"""How an experiment goes, for a person at a terminal or for a log."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from steepest.experiments.configuration import RunConfiguration
from steepest.experiments.time_left import Pace, TimeLeft, in_clock
from steepest.runs.listeners import AbstractListener, Row

_LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal to redraw."""


class ProgressDisplay(AbstractListener):
    """A bar for each seed with its steps, its latest return and its speed; plain lines where there is no terminal.

    **Arguments**

    - `trained`: whether the seeds have made their steps, and are evaluated only.
    """

    def __init__(self, config: RunConfiguration, *, show: bool, trained: bool = False):
        self._console = Console(stderr=True)
        self._show, self._live = show, show and self._console.is_terminal
        self._recent: dict[TaskID, str] = {}
        self._evaluated: dict[TaskID, str] = {}
        self._total, self._last_line = config.total_steps, time.monotonic()
        self._bars = Progress(
            TextColumn("seed {task.fields[seed]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.completed:,.0f}/{task.total:,.0f} steps"),
            TextColumn("return {task.fields[recent]}"),
            TextColumn("{task.fields[speed]}"),
            TimeLeft(),
            console=self._console,
            disable=not self._live,
        )
        self._paces = {seed: Pace(warms_up=True) for seed in config.seeds}
        self._tasks: dict[int, TaskID] = {
            seed: self._bars.add_task(
                "",
                total=config.total_steps,
                completed=config.total_steps if trained else 0,
                seed=seed,
                recent="–",
                speed="starting",
                pace=pace,
            )
            for seed, pace in self._paces.items()
        }

    def __enter__(self) -> ProgressDisplay:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """Show a line, where anything is shown."""
        if self._show:
            with contextlib.suppress(OSError):  # a log on a full disk must not end what it is about
                self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def notice(self, seed: int | None, text: str) -> None:
        if self._show:
            self.say(text if seed is None else f"seed {seed}: {text}")
        elif seed is None:
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    def evaluation(self, seed: int, steps: int, returns: np.ndarray) -> None:
        task, mean = self._tasks[seed], float(np.mean(returns))
        self._evaluated[task] = f", evaluated {mean:.1f}"
        if steps < self._total:
            return
        self._bars.update(task, recent=f"{mean:.1f} (evaluated)", speed="done")
        self._line(f"seed {seed}: evaluated, mean return {mean:.1f}", always=True)

    def evaluating(self, seed: int, episodes: int, ended: int, cut: int) -> None:
        self._bars.update(self._tasks[seed], speed=f"evaluating {ended}/{episodes}")
        self._line(f"seed {seed}: evaluating, {ended} of {episodes} episodes have ended")

    def rows(self, rows: Sequence[Row]) -> None:
        for seed in dict.fromkeys(int(row["seed"]) for row in rows):
            self._progress(seed, [row for row in rows if row["seed"] == seed])

    def _progress(self, seed: int, rows: Sequence[Row]) -> None:
        """How far one seed is after these updates, and the mean return of the episodes that ended in them."""
        task, last = self._tasks[seed], rows[-1]
        ended = [row for row in rows if row["episodes"]]
        episodes = sum(row["episodes"] for row in ended)
        if episodes:
            self._recent[task] = f"{sum(row['return'] * row['episodes'] for row in ended) / episodes:.1f}"
        speed, steps = f"{last['steps_per_second']:,.0f} steps/s", min(last["steps"], self._total)
        recent = self._recent.get(task, "–") + self._evaluated.get(task, "")
        self._paces[seed].report(steps)
        self._bars.update(task, completed=steps, speed=speed, recent=recent)
        left = self._paces[seed].left(self._total)
        said = "" if left is None else f", {in_clock(left)} left"
        self._line(f"seed {seed}: {steps:,.0f}/{self._total:,} steps, return {recent}, {speed}{said}")

    def _line(self, text: str, *, always: bool = False) -> None:
        if not self._show or self._live:
            return
        now = time.monotonic()
        if always or now - self._last_line > _LINE_EVERY:
            self._last_line = now
            with contextlib.suppress(OSError):
                print(text, file=sys.stderr, flush=True)
