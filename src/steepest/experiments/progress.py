"""How an experiment goes, for a person at a terminal or for a log."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from steepest.experiments.configuration import RunConfiguration
from steepest.runs.metrics import EVALUATED

_LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal to redraw."""


class ProgressDisplay:
    """A bar for each seed with its steps, its latest return and its speed; plain lines where there is no terminal."""

    def __init__(self, config: RunConfiguration, *, show: bool):
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
            TimeRemainingColumn(compact=True),
            console=self._console,
            disable=not self._live,
        )
        self._tasks: dict[int, TaskID] = {
            seed: self._bars.add_task("", total=config.total_steps, seed=seed, recent="–", speed="starting")
            for seed in config.seeds
        }

    def __enter__(self) -> ProgressDisplay:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def report(self, event: dict[str, Any]) -> None:
        """Show one event of a seed."""
        if event["event"] == "notice":
            if self._show:
                self._console.print(
                    f"seed {event['seed']}: {event['text']}", markup=False, highlight=False, soft_wrap=True
                )
            return
        task = self._tasks[event["seed"]]
        if event["event"] == "evaluated":
            mean = sum(event["returns"]) / len(event["returns"])
            self._bars.update(task, recent=f"{mean:.1f} (evaluated)", speed="done")
            self._line(f"seed {event['seed']}: evaluated, mean return {mean:.1f}", always=True)
            return
        speed = f"{event['rate']:,.0f} steps/s"
        steps = min(event["steps"], self._total)
        self._bars.update(task, completed=steps, speed=speed)
        if not math.isnan(event["return"]):
            self._recent[task] = f"{event['return']:.1f}"
        if not math.isnan(event[EVALUATED]):
            self._evaluated[task] = f", evaluated {event[EVALUATED]:.1f}"
        recent = self._recent.get(task, "–") + self._evaluated.get(task, "")
        self._bars.update(task, recent=recent)
        self._line(f"seed {event['seed']}: {steps:,.0f}/{self._total:,} steps, return {recent}, {speed}")

    def _line(self, text: str, *, always: bool = False) -> None:
        if not self._show or self._live:
            return
        now = time.monotonic()
        if always or now - self._last_line > _LINE_EVERY:
            self._last_line = now
            print(text, file=sys.stderr, flush=True)
