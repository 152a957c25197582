"""How long the rest of something takes, for what shows its progress."""

from __future__ import annotations

import datetime
import math
import time

from rich.progress import ProgressColumn, Task
from rich.text import Text

_EMPTY = "--:--"


class Pace:
    """How fast something goes, from all that was done of it here, standstills included.

    What rich has for it looks at the last 30 seconds only: it tells nothing where a step takes longer, and does not
    notice where nothing goes on.

    **Arguments**

    - `done`: how much was done before.
    - `warms_up`: whether the first report has a preparation in it, such as a compilation, that does not come again;
      then what comes after it counts, as soon as there is any.
    """

    def __init__(self, done: float = 0.0, *, warms_up: bool = False):
        self._warming, self._done = warms_up, done
        self._start = self._first = (time.monotonic(), done)

    def report(self, done: float) -> None:
        """So much is done now."""
        if self._warming and done > self._done:
            self._warming, self._first = False, (time.monotonic(), done)
        self._done = max(self._done, done)

    def left(self, total: float) -> float | None:
        """Seconds until `total` is done; None where nothing is known yet."""
        for began, before in (self._first, self._start):
            if self._done > before:
                return max(0.0, (time.monotonic() - began) * (total - self._done) / (self._done - before))
        return None


class TimeLeft(ProgressColumn):
    """The time left of a task, which has its `Pace` in the field `pace`."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        pace, total = task.fields.get("pace"), task.total
        seconds = None if pace is None or total is None else 0.0 if task.finished else pace.left(total)
        return Text(_EMPTY if seconds is None else in_clock(seconds), "progress.remaining")


def in_clock(seconds: float) -> str:
    """A time as minutes and seconds, with hours where there are any.

    >>> in_clock(75.2), in_clock(3700)
    ('01:16', '1:01:40')
    """
    whole = str(datetime.timedelta(seconds=math.ceil(seconds)))
    return whole.removeprefix("0:")
