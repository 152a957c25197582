"""Watching what policies do, in a window: what `steepest.watch` and the command of that name both call."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from steepest.core.errors import InputError
from steepest.core.interrupts import Stop, interruptible
from steepest.envs.tasks import EnvironmentLike
from steepest.experiments.own import AlgorithmLike
from steepest.experiments.trained import load_each
from steepest.video.captions import Captions
from steepest.video.playing import Options, moments, words
from steepest.video.stage import open_stage

if TYPE_CHECKING:
    from PIL import Image

_TOOLKITS = ("QtAgg", "TkAgg", "GTK4Agg", "GTK3Agg", "WxAgg", "MacOSX")
"""What matplotlib can open a window with."""
_HELD = 1.0
"""Seconds for which the end of an episode is shown."""
_MOST = 25
"""Pictures that a window shows in a second."""


def watch(
    run: str | pathlib.Path,
    *,
    episodes: int | None = None,
    seed: int | None = None,
    through_training: bool = False,
    stochastic: bool = False,
    episode_seed: int = 0,
    max_episode_steps: int | None = None,
    fps: float | None = None,
    algorithm: AlgorithmLike | None = None,
    env: EnvironmentLike | None = None,
) -> None:
    """Watch the policy of a run at play, in a window, with its return so far in the corner.

    **Arguments**

    - `episodes`: how many; until the window is closed when left out, and 1 of every checkpoint with `through_training`.
    - The others are those of `steepest.record`.

    **Raises** `InputError` where no window can be opened, with the way to a recording, and as `steepest.record` does.
    """
    given = Options.checked(episodes, episode_seed, max_episode_steps, fps, through_training, stochastic)
    policies = list(load_each(run, seed, env, algorithm, all_kept=given.through_training))
    toolkit = window_toolkit()
    if toolkit is None:
        raise InputError(f"no window can be opened here: {_why_no_window()}. Record it instead: steepest record {run}")
    last = policies[-1]
    config = last.config
    stage = open_stage(last.task, given.episode_seed, action_bounds=config.action_bounds, env_kwargs=config.env_kwargs)
    pace = given.fps or stage.render_fps
    captions, stop = Captions(), Stop("closing the window.")
    each = given.episodes or (1 if given.through_training else None)
    try:
        with interruptible(stop), Window(toolkit, f"{config.env}, {config.algorithm}") as window:
            due = time.monotonic()
            for policy, moment in moments(stage, policies, given, each):
                if stop() or window.closed:
                    break
                late = time.monotonic() - due
                # Where the window is behind, steps are passed over; the first and the last are always seen.
                if late < 1 / pace or moment.ended or not moment.steps or moment.steps % max(1, round(pace / 5)) == 0:
                    total = last.steps if given.through_training else None
                    window.show(captions.on(stage.picture(), words(policy, moment, total=total)))
                due = max(due + (_HELD if moment.ended else 1 / pace), time.monotonic() - 1)
                window.wait(due - time.monotonic())
    finally:
        stage.close()


def window_toolkit() -> str | None:
    """What a window can be opened with; None where there is no display, or nothing for it."""
    if not _display():
        return None
    from matplotlib import pyplot

    before = pyplot.get_backend()
    for each in _TOOLKITS:
        try:
            pyplot.switch_backend(each)
            pyplot.close(pyplot.figure())
        except Exception:
            continue
        finally:
            with contextlib.suppress(ImportError):  # a display that does not answer refuses the former toolkit too
                pyplot.switch_backend(before)
        return each
    return None


def _display() -> str | None:
    """The display, by its name where it has one."""
    if not sys.platform.startswith("linux"):
        return "the display"
    return os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")


def _why_no_window() -> str:
    display = _display()
    if not display:
        return "there is no display"
    return f"neither Qt nor Tk nor GTK opens one on {display} (pip install PyQt6 brings Qt)"


class Window:
    """A window of matplotlib's that shows pictures as they are."""

    def __init__(self, toolkit: str, title: str):
        self._toolkit, self._title, self.closed = toolkit, title, False

    def __enter__(self) -> Window:
        import matplotlib
        from matplotlib import pyplot

        self._before = pyplot.get_backend()
        pyplot.switch_backend(self._toolkit)
        with matplotlib.rc_context({"toolbar": "None"}):
            self._figure = pyplot.figure(self._title)
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._image = None
        self._figure.canvas.mpl_connect("close_event", self._close)
        return self

    def __exit__(self, *_: object) -> None:
        from matplotlib import pyplot

        pyplot.close(self._figure)
        pyplot.switch_backend(self._before)

    def show(self, picture: Image.Image) -> None:
        """Show a picture."""
        if self._image is None:
            width, height = (1.5 * side / self._figure.dpi for side in picture.size)
            self._figure.set_size_inches(width, height)
            self._image = self._axes.imshow(np.asarray(picture), aspect="equal")
            self._figure.show()
        self._image.set_data(np.asarray(picture))
        self._figure.canvas.draw_idle()
        self._figure.canvas.flush_events()

    def wait(self, seconds: float) -> None:
        """Let the window live for so long."""
        if not self.closed:
            with contextlib.suppress(Exception):  # the toolkit's own, where the window is closed meanwhile
                self._figure.canvas.start_event_loop(max(seconds, 1e-3))

    def _close(self, _: object) -> None:
        self.closed = True
