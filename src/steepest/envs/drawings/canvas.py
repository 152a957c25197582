"""A canvas in the units of an environment, with smooth edges: it is drawn larger than it is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

Point = tuple[float, float]
"""Across and up, in the unit of the environment."""
Colour = str | tuple[int, int, int]

FINER = 4
"""So many times finer than it is shown, a picture is drawn in each direction."""
PAPER, INK, FAINT, SHADE = "#f6f3ec", "#28344a", "#d9d3c6", "#c3bbaa"
"""The ground of all pictures, what is drawn on it, what is only a help to the eye, and what is firm."""
WARM, COOL, GOAL = "#d9773f", "#3e8e9e", "#4f9d5d"
"""What the task is about, what the action does, and where it leads to."""


class Canvas:
    """A picture under construction.

    **Arguments**

    - `size`: width and height of the picture, in pixels.
    - `centre`: the point in the middle of it.
    - `unit`: pixels of the picture for a unit of the environment.
    """

    def __init__(self, size: tuple[int, int], *, centre: Point = (0.0, 0.0), unit: float, ground: Colour = PAPER):
        self._size, self._centre, self._unit = size, centre, unit * FINER
        self._image = Image.new("RGB", (size[0] * FINER, size[1] * FINER), ground)
        self._draw = ImageDraw.Draw(self._image)

    def copy(self) -> Canvas:
        """Another canvas with the same picture, to draw on further."""
        other = object.__new__(Canvas)
        other._size, other._centre, other._unit = self._size, self._centre, self._unit
        other._image = self._image.copy()
        other._draw = ImageDraw.Draw(other._image)
        return other

    def line(self, points: Sequence[Point], width: float, colour: Colour = INK) -> None:
        """A line through points, with round ends and corners; `width` is in units."""
        thick, places = width * self._unit, [self._place(each) for each in points]
        self._draw.line(places, fill=colour, width=max(1, round(thick)), joint="curve")
        for across, down in (places[0], places[-1]):
            self._draw.ellipse(_around(across, down, thick / 2), fill=colour)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        self._draw.polygon([self._place(each) for each in points], fill=colour)

    def disc(
        self, centre: Point, radius: float, colour: Colour, *, rim: Colour | None = None, width: float = 0
    ) -> None:
        """A filled circle, with a rim of `width` units inside it."""
        across, down = self._place(centre)
        self._draw.ellipse(_around(across, down, radius * self._unit), fill=rim or colour)
        if rim is not None:
            self._draw.ellipse(_around(across, down, (radius - width) * self._unit), fill=colour)

    def box(self, centre: Point, size: Point, colour: Colour, *, corner: float = 0) -> None:
        """A filled rectangle with round corners."""
        across, down = self._place(centre)
        half = size[0] * self._unit / 2, size[1] * self._unit / 2
        frame = (across - half[0], down - half[1], across + half[0], down + half[1])
        self._draw.rounded_rectangle(frame, corner * self._unit, fill=colour)

    def arrow(self, start: Point, end: Point, width: float, colour: Colour = COOL) -> None:
        """An arrow; nothing where it is shorter than its line is wide."""
        length = math.dist(start, end)
        if length <= width:
            return
        along = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        self._head(end, along, width, colour)
        self.line([start, (end[0] - 2 * width * along[0], end[1] - 2 * width * along[1])], width, colour)

    def turn(
        self, centre: Point, radius: float, start: float, sweep: float, width: float, colour: Colour = COOL
    ) -> None:
        """A bent arrow around a point.

        **Arguments**

        - `start`, `sweep`: the angle where it begins and how far it goes, in radians, counter-clockwise from the right.
        """
        if abs(sweep) * radius <= 2 * width:
            return
        angles = [start + sweep * share / 24 for share in range(25)]
        points = [(centre[0] + radius * math.cos(each), centre[1] + radius * math.sin(each)) for each in angles]
        self.line(points, width, colour)
        sign = math.copysign(1.0, sweep)
        along = -sign * math.sin(angles[-1]), sign * math.cos(angles[-1])
        tip = points[-1][0] + 2 * width * along[0], points[-1][1] + 2 * width * along[1]
        self._head(tip, along, width, colour)

    def picture(self) -> UInt8[np.ndarray, "height width 3"]:
        """The picture as it is shown: three bytes for each pixel, the upper row first."""
        return np.asarray(self._image.reduce(FINER))

    def _head(self, tip: Point, along: Point, width: float, colour: Colour) -> None:
        """The head of an arrow whose line is so wide."""
        back = tip[0] - 2.6 * width * along[0], tip[1] - 2.6 * width * along[1]
        side = -along[1] * 1.6 * width, along[0] * 1.6 * width
        self.polygon([tip, (back[0] + side[0], back[1] + side[1]), (back[0] - side[0], back[1] - side[1])], colour)

    def _place(self, point: Point) -> Point:
        """Where a point lies on the fine picture: across and down, in its pixels."""
        across = (point[0] - self._centre[0]) * self._unit + self._size[0] * FINER / 2
        return across, self._size[1] * FINER / 2 - (point[1] - self._centre[1]) * self._unit


def _around(across: float, down: float, radius: float) -> tuple[float, float, float, float]:
    return across - radius, down - radius, across + radius, down + radius


def ahead(start: Point, direction: float, distance: float) -> Point:
    """The point at a distance in a direction, in radians counter-clockwise from the right."""
    return start[0] + distance * math.cos(direction), start[1] + distance * math.sin(direction)
