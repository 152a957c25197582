"""Words in the corner of a picture."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

_SMALLEST = 256
"""Pixels of the shorter side of a picture that has room for words."""
_MARGIN, _PADDING, _LINE, _LETTERS = 10, 8, 18, 13
_INK, _PAPER, _RIM = (40, 52, 74), (255, 255, 255), (214, 208, 196)


class Captions:
    """Puts a few lines into the upper left corner of pictures.

    The field they stand on never becomes narrower, so that it does not flicker with the numbers.
    """

    def __init__(self) -> None:
        self._width = 0.0

    def on(self, picture: UInt8[np.ndarray, "height width 3"], lines: Sequence[str]) -> Image.Image:
        """The picture with its lines. A small one is enlarged, each pixel to a square; its sides are even numbers."""
        image = Image.fromarray(_large(picture))
        if not lines:
            return image
        font = _font()
        self._width = max(self._width, *(font.getlength(line) for line in lines))
        size = round(self._width) + 2 * _PADDING, len(lines) * _LINE + 2 * _PADDING - 4
        image.paste(*_field(size), mask=_mask(size))
        draw = ImageDraw.Draw(image)
        for number, line in enumerate(lines):
            draw.text((_MARGIN + _PADDING, _MARGIN + _PADDING - 2 + number * _LINE), line, fill=_INK, font=font)
        return image


def _large(picture: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "larger wider 3"]:
    times = -(-_SMALLEST // min(picture.shape[:2])) if min(picture.shape[:2]) < _SMALLEST else 1
    picture = picture.repeat(times, axis=0).repeat(times, axis=1) if times > 1 else picture
    height, width = picture.shape[:2]
    odd = (0, height % 2), (0, width % 2), (0, 0)
    return np.pad(picture, odd, mode="edge") if height % 2 or width % 2 else np.ascontiguousarray(picture)


def _field(size: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
    return _drawn_field(size), (_MARGIN, _MARGIN)


@functools.lru_cache(maxsize=64)
def _drawn_field(size: tuple[int, int]) -> Image.Image:
    return _rounded("RGB", size, ground=_RIM, rim=_RIM, inside=_PAPER)


@functools.lru_cache(maxsize=64)
def _mask(size: tuple[int, int]) -> Image.Image:
    """How much of the field covers what is behind it."""
    return _rounded("L", size, ground=0, rim=240, inside=232)


def _rounded(mode: str, size: tuple[int, int], *, ground: object, rim: object, inside: object) -> Image.Image:
    finer = 4
    image = Image.new(mode, (size[0] * finer, size[1] * finer), ground)  # pyright: ignore[reportArgumentType]
    frame = (0, 0, size[0] * finer - 1, size[1] * finer - 1)
    ImageDraw.Draw(image).rounded_rectangle(frame, 7 * finer, fill=inside, outline=rim, width=finer)  # pyright: ignore[reportArgumentType]
    return image.reduce(finer)


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    """The font of learning curves, which has all signs that are needed."""
    import matplotlib

    return ImageFont.truetype(pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", _LETTERS)
