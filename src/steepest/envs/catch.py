"""Catch a falling ball, seen as a picture: Catch-v0."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt8

from steepest.core.spaces import Box, Discrete
from steepest.core.validation import check_number
from steepest.envs.environment import AbstractEnvironment


class CatchState(NamedTuple):
    """Where the ball and the paddle are."""

    ball_row: Int[Array, ""]
    """Counted from the top."""
    ball_column: Int[Array, ""]
    """Counted from the left."""
    paddle_column: Int[Array, ""]
    """Counted from the left; the paddle is in the lowest row."""


class Catch(AbstractEnvironment[CatchState]):
    """Catch-v0: move a paddle one column left (0), not at all (1) or one right (2) so that a falling ball lands on it.

    The ball starts in the highest row, in a column at random, and falls one row a step; the paddle starts in the
    middle of the lowest row. When the ball arrives there, after `rows` − 1 steps, the episode terminates with +1 if the
    paddle is in the same column, −1 if not; nothing is earned before. One sees a picture with a pixel for each cell:
    255 where the ball or the paddle is, 0 elsewhere, with one channel, which comes last.

    Paddles that always stay put catch one ball in `columns`. Every ball can be caught where `rows` − 1 is at least the
    larger number of columns beside the paddle's.

    **Raises** `InputError` for `rows` or `columns` that are not whole numbers of at least 2.

    **Reference:** Mnih, Heess, Graves, Kavukcuoglu, *Recurrent models of visual attention*, 2014; the dynamics are
    those of `catch` in Osband et al., *Behaviour suite for reinforcement learning*, 2020, which has 5 columns.
    """

    id: str = eqx.field(static=True, kw_only=True, default="Catch-v0")
    render_fps: int = eqx.field(static=True, kw_only=True, default=10)

    rows: int = eqx.field(static=True, default=10)
    """Height of the picture, in pixels; the ball falls for one step less."""
    columns: int = eqx.field(static=True, default=10)
    """Width of the picture, in pixels."""

    def __check_init__(self):
        check_number("rows", self.rows, at_least=2, whole=True, remedy="10 is usual.")
        check_number("columns", self.columns, at_least=2, whole=True, remedy="10 is usual.")

    @property
    def max_episode_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The steps that the ball falls: every episode terminates with the last of them."""
        return self.rows - 1

    @property
    def observation_space(self) -> Box:
        """The picture, [rows, columns, 1]."""
        return Box(0, 255, (self.rows, self.columns, 1), dtype=np.uint8)

    @property
    def action_space(self) -> Discrete:
        """0 moves the paddle left, 1 not at all, 2 right."""
        return Discrete(3)

    def initial(self, key: Key[Array, ""]) -> CatchState:
        """The ball at the top, the paddle in the middle."""
        column = jax.random.randint(key, (), 0, self.columns, jnp.int32)
        return CatchState(jnp.zeros((), jnp.int32), column, jnp.asarray(self.columns // 2, jnp.int32))

    def observe(self, state: CatchState) -> UInt8[Array, "rows columns 1"]:
        """The picture."""
        row, column = (jnp.arange(count, dtype=jnp.int32) for count in (self.rows, self.columns))
        row, column = row[:, None], column[None, :]
        ball = (row == state.ball_row) & (column == state.ball_column)
        paddle = (row == self.rows - 1) & (column == state.paddle_column)
        return jnp.where(ball | paddle, 255, 0).astype(jnp.uint8)[:, :, None]

    def step(
        self, key: Key[Array, ""], state: CatchState, action: Int[Array, ""]
    ) -> tuple[CatchState, Float[Array, ""], Bool[Array, ""]]:
        """Move the paddle, and let the ball fall by a row. The dynamics are deterministic: `key` is not used."""
        paddle = jnp.clip(state.paddle_column + action.astype(jnp.int32) - 1, 0, self.columns - 1)
        successor = CatchState(state.ball_row + 1, state.ball_column, paddle)
        landed = successor.ball_row == self.rows - 1
        caught = jnp.where(paddle == state.ball_column, 1.0, -1.0)
        return successor, jnp.where(landed, caught, 0.0).astype(jnp.float32), landed

    def draw(self, state: CatchState, action: np.ndarray | None) -> UInt8[np.ndarray, "height width 3"]:
        from steepest.envs.drawings.grids import draw_catch

        ball = int(state.ball_row), int(state.ball_column)
        return draw_catch(ball, int(state.paddle_column), action, rows=self.rows, columns=self.columns)
