"""Event files of TensorBoard in a run directory."""
# pyright: reportAttributeAccessIssue=false
# What protobuf generates has its names when it runs only.

from __future__ import annotations

import importlib.util
import io
import pathlib
import struct
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from steepest.core.errors import InputError
from steepest.core.files import writing
from steepest.runs.listeners import RunDescription
from steepest.runs.loggers.logger import EVALUATION, AbstractLogger, Point, Series, hyper_parameters, name_of

if TYPE_CHECKING:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

_FRAMES, _WIDTH = 300, 400
"""The most frames of a recording that a browser is sent in one piece, and their width in pixels."""
_MASK = 0xA282EAD8
"""Added to the check sums of the format, as it asks for."""


class TensorBoard(AbstractLogger):
    """Writes the numbers of a run as event files of TensorBoard, into `tensorboard/` of its directory.

    `seed-K/` has the numbers of a seed, and `mean/`, where there are several, their mean over seeds; there or with the
    only seed are the hyper-parameters and the learning curve. Steps are those of the environment. The files hold what
    `metrics.csv` holds: those of a run that goes on are written anew. `tensorboard --logdir runs` shows them.

    **Raises** `InputError` where tensorboardX is not installed, or, as the run begins, where it has no directory.

    **Example**

    >>> import steepest, tempfile
    >>> logger = steepest.TensorBoard()
    >>> with tempfile.TemporaryDirectory() as place:
    ...     result = steepest.train(
    ...         "a2c", "CartPole-v1", total_steps=800, evaluation_episodes=0, run_dir=place, listeners=[logger]
    ...     )
    ...     print([each.name for each in (result.run_directory / "tensorboard").iterdir()])
    ['seed-0']
    """

    def __init__(self) -> None:
        self._about: Summary | None = None
        if importlib.util.find_spec("tensorboardX") is None:
            raise InputError(
                "log names tensorboard, and tensorboardX is not installed. Run: pip install 'steepest[tensorboard]'."
            )

    def _open(self, run: RunDescription) -> tuple[dict[int, int], dict[Series, float]]:
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.summary import hparams

        if run.directory is None:
            raise InputError(
                "TensorBoard: the run is kept nowhere, and its files belong into the run directory. Give run_dir."
            )
        self._place, self._last = run.directory.tensorboard, 0.0
        self._main: Series = None if len(self._seeds) > 1 else self._seeds[0]
        with writing(self._place):
            for old in self._place.glob("*/events.out.tfevents.*"):
                old.unlink()
            self._start = run.directory.config.stat().st_mtime
        # Of another name than files before: a viewer that is open would go on in the middle of it.
        self._name = f"events.out.tfevents.{int(time.time()):010d}.{time.time_ns()}.steepest"
        for series in [*self._seeds, self._main]:
            if not self._path(series).exists():
                # Whoever shows an earlier file forgets what it has seen of it.
                begin = Event(wall_time=self._start, step=0, session_log=SessionLog(status=SessionLog.START))
                self._append(series, [Event(wall_time=self._start, file_version="brain.Event:2"), begin])
        about = hparams(hyper_parameters(run.config), dict.fromkeys((EVALUATION, name_of("return")), 0.0))
        self._append(self._main, [Event(wall_time=self._start, step=0, summary=each) for each in about[:2]])
        self._about = about[2]
        return {}, {}

    def _path(self, series: Series) -> pathlib.Path:
        return self._place / ("mean" if series is None else f"seed-{series}") / self._name

    def _write(self, points: Mapping[Series, Sequence[Point]]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        for series, each in points.items():
            events = []
            for point in each:
                values = [Summary.Value(tag=name, simple_value=number) for name, number in point.numbers.items()]
                wall_time = self._start + point.seconds
                events.append(Event(wall_time=wall_time, step=round(point.steps), summary=Summary(value=values)))
                self._last = max(self._last, point.steps)
            self._append(series, events)

    def _append(self, series: Series, events: Sequence[Event]) -> None:
        path = self._path(series)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:  # closed in between: there may be more seeds than files that can be open
                file.write(b"".join(_framed(event.SerializeToString()) for event in events))

    def picture(self, path: pathlib.Path) -> None:
        self._show("learning_curve", path.read_bytes())

    def recording(self, path: pathlib.Path) -> None:
        self._show("recording", _as_gif(path))

    def _show(self, name: str, content: bytes) -> None:
        from PIL import Image
        from tensorboardX.proto.summary_pb2 import Summary

        width, height = Image.open(io.BytesIO(content)).size
        shown = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=content)
        self._summary(Summary(value=[Summary.Value(tag=name, image=shown)]))

    def _summary(self, summary: Summary) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._append(self._main, [Event(wall_time=time.time(), step=round(self._last), summary=summary)])

    def close(self) -> None:
        if self._about is not None:
            self._summary(self._about)


def _framed(content: bytes) -> bytes:
    """A record as the format wants it: its length, a check sum of that, the content, a check sum of that."""
    length = struct.pack("<Q", len(content))
    return length + _check_sum(length) + content + _check_sum(content)


def _check_sum(content: bytes) -> bytes:
    from tensorboardX.crc32c import crc32c

    found = crc32c(content)
    return struct.pack("<I", (((found >> 15) | (found << 17)) + _MASK) & 0xFFFFFFFF)


def _as_gif(path: pathlib.Path) -> bytes:
    """A recording as TensorBoard can show it. **Raises** `InputError` where it cannot be read."""
    if path.suffix == ".gif":
        return path.read_bytes()
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise InputError(
            f"recording {path}: reading it takes imageio, which is not installed. Run: pip install 'steepest[video]'; "
            "or record a .gif."
        )
    import imageio.v3
    from PIL import Image

    about = imageio.v3.immeta(path, plugin="FFMPEG")
    every = max(1, -(-round(about["fps"] * about["duration"]) // _FRAMES))
    frames = []
    for index, frame in enumerate(imageio.v3.imiter(path, plugin="FFMPEG")):
        if index % every == 0:
            picture = Image.fromarray(frame)
            picture.thumbnail((_WIDTH, _WIDTH))
            frames.append(picture)
    made, pause = io.BytesIO(), max(20, round(1000 * every / about["fps"]))  # browsers slow shorter pauses down
    frames[0].save(made, format="GIF", save_all=True, append_images=frames[1:], duration=pause, loop=0)
    return made.getvalue()
