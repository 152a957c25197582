"""How a recording goes, for a person at a terminal or for a log."""

from __future__ import annotations

import contextlib
import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from steepest.experiments.time_left import Pace, TimeLeft
from steepest.video.playing import Moment, in_words


class RecordingDisplay:
    """The episode that is being recorded, its steps and its return; a line for each where there is no terminal."""

    def __init__(self, episodes: int, *, show: bool):
        console = Console(stderr=True)
        self._episodes, self._show, self._live = episodes, show, show and console.is_terminal
        self._bars = Progress(
            TextColumn("episode {task.fields[episode]} of {task.total}"),
            BarColumn(),
            TextColumn("step {task.fields[steps]:,}"),
            TextColumn("return {task.fields[earned]}"),
            TimeLeft(),
            console=console,
            disable=not self._live,
        )
        self._pace = Pace()
        self._task = self._bars.add_task("", total=episodes, episode=1, steps=0, earned="0.0", pace=self._pace)

    def __enter__(self) -> RecordingDisplay:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def moment(self, moment: Moment) -> None:
        """Show where it is."""
        done, earned = moment.episode - (not moment.ended), in_words(moment.earned)
        self._pace.report(done)
        self._bars.update(self._task, completed=done, episode=moment.episode, steps=moment.steps, earned=earned)
        if moment.ended and self._show and not self._live:
            after = "" if moment.trained is None else f" after {moment.trained:,} steps of training"
            text = f"episode {moment.episode} of {self._episodes}{after}: return {earned}, {moment.steps:,} steps"
            with contextlib.suppress(OSError):  # a log that cannot be written must not end what it is about
                print(text, file=sys.stderr, flush=True)
