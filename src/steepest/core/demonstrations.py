"""Expert demonstrations: observations and the actions taken on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from steepest.core.conversion import from_environment
from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete, Leaf, MultiDiscrete, Space, one_array

Rows = ArrayLike | Sequence
"""An array, or what becomes one: a list or tuple with an element for each row."""

_SPLIT_SEED = 0
"""The seed of the split, the same for every run, so that runs can be compared."""


@dataclasses.dataclass(frozen=True, eq=False)
class Demonstrations:
    """Expert demonstrations: pairs of observation and action, one row each.

    **Arguments**

    - `obs`: [B, …], as the environment gives them.
    - `action`: [B, …], as the environment takes them.
    - `episode`: [B], whole numbers, equal for rows of one episode; None where unknown.

    **Raises** `InputError` when there are no rows, or not equally many of each.

    **Example**

    >>> demonstrations = Demonstrations(obs=[[0.1, 0.0], [0.2, 0.0]], action=[1, 0])
    >>> len(demonstrations)
    2
    """

    obs: np.ndarray
    action: np.ndarray
    episode: np.ndarray | None = None

    def __init__(self, obs: Rows, action: Rows, episode: Rows | None = None):
        object.__setattr__(self, "obs", _numbers("obs", obs))
        object.__setattr__(self, "action", _numbers("action", action))
        object.__setattr__(self, "episode", None if episode is None else _numbers("episode", episode))
        rows = len(self.obs)
        if rows == 0:
            raise InputError("demonstrations: obs has no rows. Give at least one transition.")
        if len(self.action) != rows:
            raise InputError(
                f"demonstrations: obs has {rows} rows and action {len(self.action)}. Give one action for each "
                f"observation, without the observation after the last action."
            )
        if self.episode is not None and (self.episode.shape != (rows,) or self.episode.dtype.kind not in "iu"):
            raise InputError(
                f"demonstrations: episode is {self.episode.dtype}{list(self.episode.shape)}; it must be whole numbers "
                f"of shape [{rows}]. Give the number of its episode for each row, or leave it out."
            )

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.obs)

    @property
    def episodes(self) -> int | None:
        """The number of episodes; None where unknown."""
        return None if self.episode is None else len(np.unique(self.episode))

    def checked(self, env: str, observation: Space, action: Space) -> Demonstrations:
        """The demonstrations in the types of the spaces.

        **Raises** `InputError` for a shape or a type that does not fit `env`, a value that is not finite, and an action
        outside the space.
        """
        seen, taken = f"observations of {env}", f"actions of {env}"
        observation, action = (
            one_array(space, f"demonstrations: {whose}", "a demonstration holds")
            for space, whose in ((observation, seen), (action, taken))
        )
        return Demonstrations(
            _fitting("obs", self.obs, seen, observation, bounded=not isinstance(observation, Box)),
            _fitting("action", self.action, taken, action, bounded=True),
            self.episode,
        )

    def split(self, share: float) -> tuple[Demonstrations, Demonstrations | None]:
        """The training rows, and about `share` of the rows as a validation set; None where there can be none.

        Whole episodes are held out where there is more than one, since rows of one episode are alike; else single
        rows. At least one is, and at least one is left.
        """
        if share == 0:
            return self, None
        groups = np.arange(len(self)) if self.episode is None or self.episodes == 1 else self.episode
        names = np.unique(groups)
        if len(names) == 1:
            return self, None
        count = int(np.clip(round(share * len(names)), 1, len(names) - 1))
        chosen = np.random.default_rng(_SPLIT_SEED).choice(names, count, replace=False)
        out = np.isin(groups, chosen)
        return self._rows(~out), self._rows(out)

    def _rows(self, which: np.ndarray) -> Demonstrations:
        return Demonstrations(
            self.obs[which], self.action[which], None if self.episode is None else self.episode[which]
        )


def _numbers(name: str, given: object) -> np.ndarray:
    try:
        array = np.asarray(given)
    except ValueError:  # rows of different lengths
        array = np.array(None)
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise InputError(f"demonstrations: {name} is no array of numbers. Give one row for each transition.")
    return array


def _fitting(name: str, rows: np.ndarray, whose: str, space: Leaf, *, bounded: bool) -> np.ndarray:
    """`rows` in the type of `space`, if they fit it."""
    if rows.shape[1:] != space.shape:
        raise InputError(
            f"demonstrations: a row of {name} has shape {rows.shape[1:]}; {whose} have {space.shape}. "
            f"Give an array [transitions{''.join(f', {each}' for each in space.shape)}]."
        )
    if not isinstance(space, Box) and rows.dtype.kind == "f":
        raise InputError(
            f"demonstrations: {name} is {rows.dtype}; {whose} are choices. Give whole numbers, such as int32."
        )
    converted = from_environment(space, rows) if isinstance(space, Box) else rows.astype(space.dtype)
    low, high = _bounds(space) if bounded else (-np.inf, np.inf)
    # Whole numbers are compared as they came: a large one could wrap around. So are actions in the environment's type.
    compared = converted if isinstance(space, Box) and rows.dtype.kind == "f" else rows
    wrong = ~np.isfinite(compared) | (compared < low) | (compared > high)
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0].tolist())
        rule = f"{whose} lie between {_text(low)} and {_text(high)}" if bounded else "it must be finite"
        raise InputError(
            f"demonstrations: {name}{list(where)} is {compared[where]}; {rule}. Correct the row, or leave it out."
        )
    return converted


def _bounds(space: Leaf) -> tuple:
    """The least and the greatest value of each component, as the environment counts."""
    match space:
        case Box(low=low, high=high):
            return low, high
        case Discrete(n=n, start=start):
            return start, start + n - 1
        case MultiDiscrete(nvec=nvec, start=start):
            return np.array(start), np.array(start) + nvec - 1
        case _:
            return 0, 1


def _text(bound: float | np.ndarray) -> str:
    values = np.unique(bound)
    return f"{values[0]:g}" if len(values) == 1 else str(np.asarray(bound).tolist())
