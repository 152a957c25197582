"""Pictures of what swings or balances: CartPole, Acrobot, Pendulum."""

from __future__ import annotations

import functools
import math

import numpy as np
from jaxtyping import UInt8

from steepest.envs.drawings.canvas import COOL, FAINT, GOAL, INK, SHADE, WARM, Canvas, ahead

Picture = UInt8[np.ndarray, "height width 3"]
UP = math.pi / 2
_WIDE, _ROUND = (600, 320), (600, 440)


def draw_cart_pole(
    position: float, angle: float, push: float, *, length: float, position_limit: float, angle_limit: float
) -> Picture:
    """The cart on its track, the pole, the angles at which it counts as fallen, and the push, −1, 0 or 1.

    **Arguments**

    - `position`: of the cart, in metres from the middle. `angle`: of the pole from upright, positive to the right.
    - `length`: of the pole. The limits are those of the track, on either side, and of the angle.
    """
    canvas = _track(position_limit).copy()
    hinge = position, 0.3
    for side in (-1, 1):
        canvas.line([hinge, ahead(hinge, UP + side * angle_limit, 1.25 * length)], 0.012, SHADE)
    for wheel in (position - 0.17, position + 0.17):
        canvas.disc((wheel, 0.07), 0.07, "#8d97a8", rim=INK, width=0.028)
    canvas.box((position, 0.2), (0.56, 0.22), INK, corner=0.05)
    # The pole leans towards positive positions where its angle is positive.
    canvas.line([hinge, ahead(hinge, UP - angle, length)], 0.075, WARM)
    canvas.disc(hinge, 0.055, "#f6f3ec", rim=INK, width=0.025)
    if push:
        canvas.arrow((position + 0.34 * push, 0.2), (position + 0.74 * push, 0.2), 0.05, COOL)
    return canvas.picture()


@functools.lru_cache(maxsize=8)
def _track(limit: float) -> Canvas:
    width = 2 * limit + 1.2
    unit = _WIDE[0] / width
    canvas = Canvas(_WIDE, centre=(0.0, _WIDE[1] / unit / 2 - 0.5), unit=unit)
    canvas.box((0.0, -0.3), (width, 0.6), "#e8e2d5")
    canvas.line([(-limit - 0.28, 0.0), (limit + 0.28, 0.0)], 0.03, SHADE)
    for place in range(-math.floor(limit), math.floor(limit) + 1):
        canvas.line([(place, -0.03), (place, -0.1)], 0.02, SHADE)
    for side in (-1, 1):
        canvas.box((side * (limit + 0.28), 0.16), (0.06, 0.36), SHADE, corner=0.03)
    return canvas


def draw_acrobot(
    angle_1: float, angle_2: float, torque: float, *, lengths: tuple[float, float], goal: float
) -> Picture:
    """The two links, the height that the tip must exceed, and the torque at the elbow, −1, 0 or 1.

    **Arguments**

    - `angle_1`: of the upper link from hanging straight down, counter-clockwise; `angle_2`: of the lower from there.
    - `lengths`: of the links. `goal`: the height, above the shoulder.
    """
    canvas = _height(goal, sum(lengths)).copy()
    first = angle_1 - UP
    second = first + angle_2
    elbow = ahead((0.0, 0.0), first, lengths[0])
    tip = ahead(elbow, second, lengths[1])
    canvas.line([(0.0, 0.0), elbow], 0.15, INK)
    canvas.line([elbow, tip], 0.13, "#5a6a85")
    canvas.disc((0.0, 0.0), 0.11, "#f6f3ec", rim=INK, width=0.045)
    canvas.disc(elbow, 0.09, "#f6f3ec", rim=INK, width=0.04)
    canvas.disc(tip, 0.1, GOAL if tip[1] > goal else WARM)
    canvas.turn(elbow, 0.3, second + torque * 0.45, torque * 1.5, 0.05, COOL)
    return canvas.picture()


@functools.lru_cache(maxsize=8)
def _height(goal: float, reach: float) -> Canvas:
    canvas = Canvas(_ROUND, unit=_ROUND[1] / (2 * reach + 0.7))
    canvas.disc((0.0, 0.0), reach, "#efeadf")
    dash = 0.14
    for number in range(-16, 17):
        canvas.line([(number * 2 * dash - dash / 2, goal), (number * 2 * dash + dash / 2, goal)], 0.022, GOAL)
    return canvas


def draw_pendulum(angle: float, torque: float, *, length: float) -> Picture:
    """The rod, its angle counter-clockwise from upright, and the torque, from −1 to 1 of what is possible."""
    canvas = _upright(length).copy()
    end = ahead((0.0, 0.0), UP + angle, length)
    canvas.line([(0.0, 0.0), end], 0.16 * length, WARM)
    canvas.disc(end, 0.05 * length, "#f2b48f")
    canvas.disc((0.0, 0.0), 0.07 * length, "#f6f3ec", rim=INK, width=0.03 * length)
    canvas.turn((0.0, 0.0), 0.32 * length, -UP - torque * 1.3, torque * 2.6, 0.045 * length, COOL)
    return canvas.picture()


@functools.lru_cache(maxsize=8)
def _upright(length: float) -> Canvas:
    canvas = Canvas(_ROUND, unit=_ROUND[1] / (2.7 * length))
    canvas.disc((0.0, 0.0), 1.14 * length, "#efeadf")
    for hour in range(12):
        start, end = (ahead((0.0, 0.0), hour * math.pi / 6, share * length) for share in (1.17, 1.2))
        canvas.line([start, end], 0.015 * length, FAINT)
    canvas.line([ahead((0.0, 0.0), UP, share * length) for share in (1.16, 1.26)], 0.035 * length, GOAL)
    return canvas
