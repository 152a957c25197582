"""Pictures of what swings or balances: CartPole, Acrobot, Pendulum."""

from __future__ import annotations

import functools
import math
from typing import SupportsFloat

import numpy as np
from jaxtyping import UInt8

from steepest.envs.drawings.canvas import COOL, FAINT, GOAL, INK, SHADE, WARM, Canvas, ahead

Picture = UInt8[np.ndarray, "height width 3"]
UP = math.pi / 2
_WIDE, _ROUND = (600, 320), (600, 440)


def draw_cart_pole(
    position: SupportsFloat,
    angle: SupportsFloat,
    action: np.ndarray | None,
    *,
    length: float,
    position_limit: float,
    angle_limit: float,
) -> Picture:
    """The cart on its track, the pole, the angles at which it counts as fallen, and the push."""
    canvas = _track(position_limit, length, angle_limit).copy()
    position, angle = float(position), float(angle)
    hinge = position, 0.3
    for side in (-1, 1):
        canvas.line([hinge, ahead(hinge, UP + side * angle_limit, 1.25 * length)], 0.012, SHADE)
    for wheel in (position - 0.17, position + 0.17):
        canvas.disc((wheel, 0.07), 0.07, "#8d97a8", rim=INK, width=0.028)
    canvas.box((position, 0.2), (0.56, 0.22), INK, corner=0.05)
    # The pole leans towards positive positions where its angle is positive.
    canvas.line([hinge, ahead(hinge, UP - angle, length)], 0.075, WARM)
    canvas.disc(hinge, 0.055, "#f6f3ec", rim=INK, width=0.025)
    if action is not None:
        sign = 1 if int(action) == 1 else -1
        canvas.arrow((position + 0.34 * sign, 0.2), (position + 0.74 * sign, 0.2), 0.05, COOL)
    return canvas.picture()


@functools.lru_cache(maxsize=8)
def _track(limit: float, length: float, angle_limit: float) -> Canvas:
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
    angle_1: SupportsFloat, angle_2: SupportsFloat, action: np.ndarray | None, *, length_1: float, goal_height: float
) -> Picture:
    """The two links, the height that the tip must exceed, and the torque at the elbow."""
    lengths = length_1, 1.0  # the dynamics know of the second link only where its mass is
    canvas = _height(goal_height, sum(lengths)).copy()
    # Angles are counted from hanging straight down, the second from where the first points.
    first = float(angle_1) - UP
    second = first + float(angle_2)
    elbow = ahead((0.0, 0.0), first, lengths[0])
    tip = ahead(elbow, second, lengths[1])
    canvas.line([(0.0, 0.0), elbow], 0.15, INK)
    canvas.line([elbow, tip], 0.13, "#5a6a85")
    canvas.disc((0.0, 0.0), 0.11, "#f6f3ec", rim=INK, width=0.045)
    canvas.disc(elbow, 0.09, "#f6f3ec", rim=INK, width=0.04)
    canvas.disc(tip, 0.1, GOAL if tip[1] > goal_height else WARM)
    if action is not None and int(action) != 1:
        sign = int(action) - 1
        canvas.turn(elbow, 0.3, second + sign * 0.45, sign * 1.5, 0.05, COOL)
    return canvas.picture()


@functools.lru_cache(maxsize=8)
def _height(goal: float, reach: float) -> Canvas:
    canvas = Canvas(_ROUND, unit=_ROUND[1] / (2 * reach + 0.7))
    canvas.disc((0.0, 0.0), reach, "#efeadf")
    dash = 0.14
    for number in range(-16, 17):
        canvas.line([(number * 2 * dash - dash / 2, goal), (number * 2 * dash + dash / 2, goal)], 0.022, GOAL)
    return canvas


def draw_pendulum(angle: SupportsFloat, action: np.ndarray | None, *, length: float, max_torque: float) -> Picture:
    """The rod, upright as a help to the eye, and the torque."""
    canvas = _upright(length).copy()
    # The angle is counted counter-clockwise from upright, and so is the torque.
    end = ahead((0.0, 0.0), UP + float(angle), length)
    canvas.line([(0.0, 0.0), end], 0.16 * length, WARM)
    canvas.disc(end, 0.05 * length, "#f2b48f")
    canvas.disc((0.0, 0.0), 0.07 * length, "#f6f3ec", rim=INK, width=0.03 * length)
    if action is not None:
        share = float(np.clip(np.ravel(action)[0] / max_torque, -1, 1))
        canvas.turn((0.0, 0.0), 0.32 * length, -UP - share * 1.3, share * 2.6, 0.045 * length, COOL)
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
