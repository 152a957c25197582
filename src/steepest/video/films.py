"""Films: files that pictures are written to, one after the other. GIF with Pillow alone, MP4 with ffmpeg."""

from __future__ import annotations

import abc
import contextlib
import importlib.util
import math
import pathlib
import subprocess
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import GifImagePlugin, Image, ImageChops

from steepest.core.errors import InputError
from steepest.core.files import writing, written_aside

SUFFIXES = (".gif", ".mp4")
_FASTEST = {".gif": 34.0, ".mp4": 60.0}
"""Pictures in a second: browsers slow a faster GIF down, and screens show no more of a video."""
_FAR, _FEW = 24, 0.002
"""There is a new palette where more than this share of the pixels lies so far from the colours of the one there is."""
_BEGINNING = 8
"""So many pictures are looked at for the first palette."""
_ENCODED = (
    *("-an", "-vcodec", "libx264", "-pix_fmt", "yuv420p", "-crf", "20", "-preset", "veryfast"),
    *("-movflags", "+faststart", "-f", "mp4"),
)
"""How ffmpeg writes: what every player takes, and so that a browser can begin before it has all."""


class AbstractFilm(abc.ABC):
    """A film that is being written.

    - `stride`: of so many steps one is shown, so that it plays at the speed that was asked for.
    """

    stride: int

    @abc.abstractmethod
    def add(self, image: Image.Image, seconds: float) -> None:
        """Show a picture for so long."""

    @abc.abstractmethod
    def finish(self) -> None:
        """Write what is still to be written."""

    def abandon(self) -> None:  # noqa: B027  most have nothing that runs
        """End without writing more."""


def check_film(out: object) -> None:
    """**Raises** `InputError` for a name that no film can have, or where what writes it is missing."""
    suffix = pathlib.Path(str(out)).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"out is {str(out)!r}; give a file that ends in {' or '.join(SUFFIXES)}.")
    if suffix == ".mp4" and not video_installed():
        raise InputError(
            f"out is {str(out)!r}, and what writes .mp4 is not installed. Run: pip install 'steepest[video]', or give "
            f"a file that ends in .gif."
        )


def video_installed() -> bool:
    """Whether the extra `video` is installed. Nothing is imported."""
    try:
        return importlib.util.find_spec("imageio_ffmpeg") is not None
    except ValueError:  # somebody has put something else in its place
        return False


@contextlib.contextmanager
def film(path: pathlib.Path, steps_per_second: float) -> Iterator[AbstractFilm]:
    """A film that gets its name when it is whole. The suffix decides its kind.

    **Raises** `StorageFault` where it cannot be written.
    """
    with written_aside(path) as temporary:
        kind = GifFilm if path.suffix.lower() == ".gif" else Mp4Film
        made = kind(temporary, path, steps_per_second)
        try:
            yield made
            made.finish()
        finally:
            made.abandon()


def stride_of(suffix: str, steps_per_second: float) -> int:
    """Of so many steps a film of this kind shows one."""
    return max(1, math.ceil(steps_per_second / _FASTEST[suffix] - 1e-9))


class GifFilm(AbstractFilm):
    """An animation in GIF, which all browsers play, for ever.

    Of a picture only the rectangle is written that differs from the one before it. All have one palette, until the
    colours of one lie too far from it.
    """

    def __init__(self, temporary: pathlib.Path, path: pathlib.Path, steps_per_second: float):
        self.stride = stride_of(".gif", steps_per_second)
        self._path = path
        with writing(path):
            self._file: BinaryIO = temporary.open("xb")
        self._beginning: list[tuple[Image.Image, float]] | None = []
        self._first: Image.Image | None = None
        self._palette: Image.Image | None = None
        self._before: Image.Image | None = None
        self._waiting: tuple[Image.Image, tuple[int, int]] | None = None
        self._shown, self._due = 0, 0.0

    def add(self, image: Image.Image, seconds: float) -> None:
        if self._beginning is None:
            self._add(image, seconds)
        else:
            self._beginning.append((image, seconds))
            if len(self._beginning) == _BEGINNING:
                self._begin()

    def _begin(self) -> None:
        """Find the first palette in the pictures there are, and add them."""
        given, self._beginning = self._beginning or [], None
        if given:
            together = Image.new("RGB", (given[0][0].width, sum(image.height for image, _ in given)))
            for number, (image, _) in enumerate(given):
                together.paste(image, (0, number * image.height))
            self._first = self._palette = together.quantize(256, dither=Image.Dither.NONE)
        for each in given:
            self._add(*each)

    def _add(self, image: Image.Image, seconds: float) -> None:
        box = (0, 0, *image.size) if self._before is None else ImageChops.difference(self._before, image).getbbox()
        if box is not None:  # else the one before it is shown for longer
            self._write()
            part = self._in_palette(image.crop(box))
            if part is None:
                self._palette = image.quantize(256, dither=Image.Dither.NONE)
                # All of it, or one could see where the new colours begin.
                part, box = image.quantize(palette=self._palette, dither=Image.Dither.NONE), (0, 0)
            self._waiting, self._before = (part, (box[0], box[1])), image
        self._due += 100 * seconds

    def finish(self) -> None:
        if self._beginning is not None:
            self._begin()
        self._write()
        with writing(self._path):
            self._file.write(b";")
            self._file.flush()

    def abandon(self) -> None:
        self._file.close()

    def _in_palette(self, part: Image.Image) -> Image.Image | None:
        """A part of a picture in the colours of the palette; None where too many lie too far from them."""
        assert self._palette is not None
        found = part.quantize(palette=self._palette, dither=Image.Dither.NONE)
        seen, meant = (np.asarray(each.convert("RGB"), np.int16)[::2, ::2] for each in (found, part))
        return None if (np.abs(seen - meant).max(axis=-1) > _FAR).mean() > _FEW else found

    def _write(self) -> None:
        """Write the picture that waits, now that it is known for how long it is shown."""
        if self._waiting is None:
            return
        image, place = self._waiting
        # Hundredths of a second, their errors carried on.
        shown, self._shown = round(self._due) - self._shown, round(self._due)
        with writing(self._path):
            if self._file.tell() == 0:
                self._file.write(_header(image))
            own = self._first is not None and image.getpalette() != self._first.getpalette()
            parts = GifImagePlugin.getdata(image, place, duration=10 * shown, include_color_table=own)
            self._file.write(b"".join(parts))
        self._waiting = None


def _header(image: Image.Image) -> bytes:
    """What a GIF begins with: its size, the palette of its first picture, and that it is played for ever."""
    size = b"".join(each.to_bytes(2, "little") for each in image.size)
    colours = bytes(image.getpalette() or ()).ljust(3 * 256, b"\x00")
    return b"GIF89a" + size + b"\xf7\x00\x00" + colours + b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"


class Mp4Film(AbstractFilm):
    """A video in H.264, which all browsers play. Its pictures have sides of even length."""

    def __init__(self, temporary: pathlib.Path, path: pathlib.Path, steps_per_second: float):
        self.stride = stride_of(".mp4", steps_per_second)
        self._temporary, self._path, self._fps = temporary, path, steps_per_second / self.stride
        self._ffmpeg: subprocess.Popen[bytes] | None = None
        self._shown, self._due = 0, 0.0

    def add(self, image: Image.Image, seconds: float) -> None:
        if self._ffmpeg is None:
            self._ffmpeg = self._started(image.size)
        assert self._ffmpeg.stdin is not None
        self._due += seconds * self._fps
        content = image.tobytes()
        with writing(self._path):
            while self._shown < round(self._due):
                self._ffmpeg.stdin.write(content)
                self._shown += 1

    def finish(self) -> None:
        with writing(self._path):
            assert self._ffmpeg is not None
            said = self._ffmpeg.communicate()[1]
            if self._ffmpeg.returncode:
                raise OSError(f"ffmpeg: {' '.join(said.decode(errors='replace').split())[-200:]}")

    def abandon(self) -> None:
        if self._ffmpeg is not None and self._ffmpeg.poll() is None:
            self._ffmpeg.kill()
            self._ffmpeg.communicate()

    def _started(self, size: tuple[int, int]) -> subprocess.Popen[bytes]:
        import imageio_ffmpeg

        taken = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", f"{self._fps:g}", "-i", "-")
        program = imageio_ffmpeg.get_ffmpeg_exe()
        return subprocess.Popen(
            [program, "-y", "-loglevel", "error", *taken, *_ENCODED, str(self._temporary)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is ours to handle
        )
