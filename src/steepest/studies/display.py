"""How a study goes, for a person at a terminal or for a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from steepest.experiments.time_left import Pace, TimeLeft, in_clock
from steepest.studies.engine import AbstractWatcher, Report
from steepest.studies.planned import PlannedRun
from steepest.studies.study_directory import PlannedRunState

_LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal to redraw."""
_COLOURS = {"complete": "green", "failed": "red", "interrupted": "yellow"}


class StudyDisplay(AbstractWatcher):
    """A bar for each run that is being made, and one for all; plain lines where there is no terminal.

    How a run ended is a line that stays.

    **Arguments**

    - `runs`: all of them, each with how far it is.
    - `show`: no is nothing but notices.
    """

    def __init__(self, runs: Iterable[tuple[PlannedRun, PlannedRunState]], *, show: bool):
        self._console = Console(stderr=True)
        self._show, self._live = show, show and self._console.is_terminal
        self._runs = {run.name: run for run, _ in runs}
        self._states = {run.name: state.state for run, state in runs}
        self._steps = {run.name: min(state.steps, _total(run)) for run, state in runs}
        self._began: dict[str, float] = {}
        self._newest: dict[str, Report] = {}
        self._last_line = time.monotonic()
        self._bars = Progress(
            TextColumn("{task.description}", table_column=Column(overflow="fold")),
            BarColumn(bar_width=10),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[recent]}"),
            TextColumn("{task.fields[speed]}"),
            TimeLeft(),
            console=self._console,
            disable=not self._live,
        )
        self._tasks: dict[str, TaskID] = {}
        done, self._paces = sum(self._steps.values()), {"": Pace(sum(self._steps.values()))}
        self._sum = sum(map(_total, self._runs.values()))
        self._all = self._bars.add_task("", total=self._sum, completed=done, recent="", speed="", pace=self._paces[""])
        self._count()

    def __enter__(self) -> StudyDisplay:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def started(self, run: PlannedRun, again: bool) -> None:
        self._states[run.name] = "running"
        self._began.setdefault(run.name, time.monotonic())
        if run.name not in self._tasks:
            done = self._steps[run.name]
            pace = self._paces[run.name] = Pace(done, warms_up=True)
            self._tasks[run.name] = self._bars.add_task(
                escape(run.name), total=_total(run), completed=done, recent="", speed="starting", pace=pace
            )
        self._count()
        if not self._live and not again:
            self._say("runs", run, "")

    def progress(self, run: PlannedRun, report: Report) -> None:
        self._newest[run.name] = report
        self._steps[run.name] = max(self._steps[run.name], min(report.steps, _total(run)))
        speed = f"evaluating {report.evaluating}" if report.evaluating else f"{report.speed or 0:,.0f} steps/s"
        self._bars.update(
            self._tasks[run.name],
            completed=self._steps[run.name],
            recent="" if report.recent is None else f"return {report.recent:.1f}",
            speed=speed,
        )
        self._paces[run.name].report(self._steps[run.name])
        self._count()

    def notice(self, run: PlannedRun, text: str) -> None:
        self._say("notice", run, text, always=True)

    def ended(self, run: PlannedRun, state: PlannedRunState) -> None:
        self._states[run.name] = state.state
        self._newest.pop(run.name, None)
        if run.name in self._tasks:
            self._bars.remove_task(self._tasks.pop(run.name))
        if state.state == "complete":
            self._steps[run.name] = _total(run)
        self._count()
        seconds = time.monotonic() - self._began.get(run.name, time.monotonic())
        reached = "" if state.mean_return is None else f"return {state.mean_return:.1f}, "
        text = state.message or f"{reached}{_time(seconds)}"
        self._say(state.state, run, text)

    def tick(self) -> None:
        if self._show and not self._live and time.monotonic() - self._last_line > _LINE_EVERY:
            self._last_line = time.monotonic()
            running = [f"{name} {self._percent(name)}" for name, word in self._states.items() if word == "running"]
            left = self._paces[""].left(self._sum)
            said = self.summary if left is None else f"{self.summary}, {in_clock(left)} left"
            say(f"{said}: {', '.join(running)}" if running else said)

    @property
    def summary(self) -> str:
        """How many runs there are, and how far they are, in words."""
        counted = Counter(self._states.values())
        order = ("complete", "running", "waiting", "interrupted", "failed")
        return f"{len(self._states)} runs, " + ", ".join(f"{counted[each]} {each}" for each in order if counted[each])

    def _percent(self, name: str) -> str:
        report = self._newest.get(name)
        recent = "" if report is None or report.recent is None else f" (return {report.recent:.1f})"
        return f"{100 * self._steps[name] / _total(self._runs[name]):.0f}%{recent}"

    def _count(self) -> None:
        done = sum(self._steps.values())
        self._paces[""].report(done)
        self._bars.update(self._all, description=self.summary, completed=done)

    def _say(self, word: str, run: PlannedRun, text: str, *, always: bool = False) -> None:
        if not self._show and not always:
            return
        if self._live:
            line = Text.assemble((f"{word:<12}", _COLOURS.get(word, "")), f"{run.name}  {text}")
            self._console.print(line, soft_wrap=True)
        else:
            say(f"{word:<12}{run.name}  {text}".rstrip())


def say(text: str) -> None:
    """Tell a person something; the standard output is for results."""
    with contextlib.suppress(OSError):  # a log that cannot be written must not end what it is about
        print(text, file=sys.stderr, flush=True)


def _total(run: PlannedRun) -> int:
    return max(1, int(run.options.get("total_steps", 1)))


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
