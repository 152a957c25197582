"""Pictures of the two mountain cars."""

from __future__ import annotations

import functools
import math

import numpy as np
from jaxtyping import UInt8

from steepest.envs.drawings.canvas import COOL, GOAL, INK, SHADE, WARM, Canvas, Point, ahead

_SIZE = (600, 400)
_BESIDE = 0.08
"""What is seen beyond either end of the road."""
_STEEPNESS = 0.45
"""Height of the hills for one of the sine that the dynamics roll down."""


def draw_road(
    position: float, throttle: float, *, ends: tuple[float, float], goal: float
) -> UInt8[np.ndarray, "height width 3"]:
    """The car on its road, the goal, and the push.

    **Arguments**

    - `throttle`: from −1, full to the left, to 1.
    - `ends`: of the road, with the wall at the first.
    """
    canvas = _valley(ends, goal).copy()
    slope = math.atan(_STEEPNESS * 3 * math.cos(3 * position))
    road = position, _height(position)
    normal = slope + math.pi / 2

    def on_car(along: float, above: float) -> Point:
        return ahead(ahead(road, slope, along), normal, above)

    canvas.polygon([on_car(*each) for each in ((-0.085, 0.03), (0.085, 0.03), (0.085, 0.062), (-0.085, 0.062))], WARM)
    canvas.polygon([on_car(*each) for each in ((-0.055, 0.06), (0.05, 0.06), (0.03, 0.098), (-0.04, 0.098))], WARM)
    canvas.polygon(
        [on_car(*each) for each in ((-0.04, 0.064), (0.036, 0.064), (0.022, 0.089), (-0.03, 0.089))], "#f6e3d5"
    )
    canvas.line([on_car(-0.085, 0.046), on_car(0.085, 0.046)], 0.032, WARM)
    for along in (-0.052, 0.052):
        canvas.disc(on_car(along, 0.026), 0.026, "#8d97a8", rim=INK, width=0.011)
    sign = math.copysign(1.0, throttle)
    canvas.arrow(on_car(0.115 * sign, 0.048), on_car((0.115 + 0.13 * abs(throttle)) * sign, 0.048), 0.016, COOL)
    return canvas.picture()


def _height(position: float) -> float:
    return _STEEPNESS * math.sin(3 * position)


@functools.lru_cache(maxsize=8)
def _valley(ends: tuple[float, float], goal: float) -> Canvas:
    low, high = ends
    canvas = Canvas(_SIZE, centre=((low + high) / 2, 0.07), unit=_SIZE[0] / (high - low + 2 * _BESIDE))
    places = np.linspace(low - _BESIDE, high + _BESIDE, 161).tolist()
    points = [(each, _height(each)) for each in places]
    canvas.polygon([(places[0], -2.0), *points, (places[-1], -2.0)], "#cfd8c3")
    canvas.line(points, 0.014, "#7d8b6b")
    canvas.line([(low - 0.05, _height(low) + 0.02), (low - 0.05, _height(low) + 0.19)], 0.024, SHADE)
    foot = goal, _height(goal)
    canvas.line([foot, (goal, foot[1] + 0.2)], 0.011, INK)
    canvas.polygon([(goal, foot[1] + 0.2), (goal + 0.11, foot[1] + 0.17), (goal, foot[1] + 0.14)], GOAL)
    return canvas
