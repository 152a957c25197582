"""Pictures of what happens on a grid: Catch, T-maze."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from steepest.envs.drawings.canvas import COOL, FAINT, GOAL, INK, SHADE, WARM, Canvas

Picture = UInt8[np.ndarray, "height width 3"]
_LONGEST = 480
"""Pixels of the longer side of a picture."""
_ACROSS, _UP = {1: 1.0, 3: -1.0}, {0: 1.0, 2: -1.0}
"""Where the actions of the maze lead: 0 north, 1 east, 2 south, 3 west."""


def draw_catch(
    ball: tuple[int, int], paddle: int, action: np.ndarray | None, *, rows: int, columns: int, around: float = 0.6
) -> Picture:
    """The ball, the paddle, and where it was moved.

    **Arguments**

    - `ball`: its row from the top, and its column. `paddle`: its column.
    - `around`: cells of margin.
    """
    canvas = _canvas((columns - 1) / 2, (rows - 1) / 2, columns + 2 * around, rows + 2 * around)
    canvas.box(((columns - 1) / 2, (rows - 1) / 2), (columns, rows), "#efeadf")
    for number in range(1, columns):
        canvas.line([(number - 0.5, -0.5), (number - 0.5, rows - 0.5)], 0.02, FAINT)
    for number in range(1, rows):
        canvas.line([(-0.5, number - 0.5), (columns - 0.5, number - 0.5)], 0.02, FAINT)
    row, column = ball
    canvas.box((paddle, 0.0), (0.94, 0.5), INK, corner=0.14)
    canvas.disc((column, rows - 1 - row), 0.38, GOAL if (row, column) == (rows - 1, paddle) else WARM)
    if action is not None and int(action) != 1:
        towards = int(action) - 1
        canvas.arrow((paddle - 0.3 * towards, 0.0), (paddle + 0.3 * towards, 0.0), 0.09, COOL)
    return canvas.picture()


def draw_t_maze(position: int, goal_north: bool, action: np.ndarray | None, *, length: int) -> Picture:
    """The corridor with the sign at its start and the two arms at its end, where the agent is, and where it went."""
    canvas = _canvas(length / 2, 0.0, length + 2.2, 4.4)
    canvas.box((length / 2, 0.0), (length + 1, 1.0), "#efeadf", corner=0.12)
    canvas.box((length, 0.0), (1.0, 3.0), "#efeadf", corner=0.12)
    for cell in range(1, length + 1):
        canvas.line([(cell - 0.5, -0.42), (cell - 0.5, 0.42)], 0.02, FAINT)
    side = 1 if goal_north else -1
    canvas.disc((length, side), 0.32, GOAL)
    canvas.disc((length, -side), 0.32, "#efeadf", rim=SHADE, width=0.06)
    canvas.arrow((0.0, -0.4 * side), (0.0, 0.4 * side), 0.09, GOAL)  # the sign, of which nothing is seen further on
    canvas.disc((position, 0.0), 0.28, WARM)
    if action is not None:
        across, up = _ACROSS.get(int(action), 0.0), _UP.get(int(action), 0.0)
        canvas.arrow((position, 0.0), (position + 0.8 * across, 0.8 * up), 0.09, COOL)
    return canvas.picture()


def _canvas(across: float, up: float, width: float, height: float) -> Canvas:
    """A canvas of so many cells around a point, with an even number of pixels in each direction, as films need it."""
    unit = _LONGEST / max(width, height)
    size = 2 * round(width * unit / 2), max(2 * round(height * unit / 2), 96)
    return Canvas(size, centre=(across, up), unit=unit)
