"""Expert demonstrations: observations and the actions taken on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from steepest.core.conversion import from_environment, rows_of
from steepest.core.errors import InputError
from steepest.core.spaces import (
    Box,
    Discrete,
    Leaf,
    Mask,
    Masked,
    MaskedObservation,
    MultiDiscrete,
    Space,
    leaves,
    map_leaves,
    without_mask,
)
from steepest.core.trees import map_named, named
from steepest.core.types import PyTree

Rows = ArrayLike | Sequence | Mapping
"""An array, or what becomes one: a list or tuple with an element for each row; or a tree of such (see below)."""

_SPLIT_SEED = 0
"""The seed of the split, the same for every run, so that runs can be compared."""


@dataclasses.dataclass(frozen=True, eq=False)
class Demonstrations:
    """Expert demonstrations: pairs of observation and action, one row each.

    **Arguments**

    - `obs`: [B, …], as the environment gives them. Where it gives trees, a tree of arrays: a dictionary of them, or a
      tuple of arrays; with action masks, a `steepest.core.spaces.MaskedObservation` or a dictionary of `observation`
      and `action_mask`.
    - `action`: [B, …], as the environment takes them; or a tree of arrays.
    - `episode`: [B], whole numbers, equal for rows of one episode; None where unknown.

    **Raises** `InputError` when there are no rows, or not equally many of each.

    **Example**

    >>> demonstrations = Demonstrations(obs=[[0.1, 0.0], [0.2, 0.0]], action=[1, 0])
    >>> len(demonstrations)
    2
    >>> len(Demonstrations(obs={"floor": [1, 2, 3], "load": np.zeros((3, 2))}, action=[0, 0, 1]))
    3
    """

    obs: PyTree
    action: PyTree
    episode: np.ndarray | None = None

    def __init__(self, obs: Rows, action: Rows, episode: Rows | None = None):
        object.__setattr__(self, "obs", _tree("obs", obs))
        object.__setattr__(self, "action", _tree("action", action))
        object.__setattr__(self, "episode", None if episode is None else _numbers("episode", episode))
        found = named(self.obs, "obs") | named(self.action, "action")
        if not named(self.obs, "obs") or not named(self.action, "action"):
            raise InputError("demonstrations: obs or action has no arrays. Give one row for each transition.")
        rows = rows_of(self.obs)
        if rows == 0:
            raise InputError("demonstrations: obs has no rows. Give at least one transition.")
        for name, each in found.items():
            if len(each) != rows:
                raise InputError(
                    f"demonstrations: {next(iter(found))} has {rows} rows and {name} {len(each)}. Give one action for "
                    f"each observation, without the observation after the last action."
                )
        if self.episode is not None and (self.episode.shape != (rows,) or self.episode.dtype.kind not in "iu"):
            raise InputError(
                f"demonstrations: episode is {self.episode.dtype}{list(self.episode.shape)}; it must be whole numbers "
                f"of shape [{rows}]. Give the number of its episode for each row, or leave it out."
            )

    def __len__(self) -> int:
        """The number of rows."""
        return rows_of(self.obs)

    @property
    def episodes(self) -> int | None:
        """The number of episodes; None where unknown."""
        return None if self.episode is None else len(np.unique(self.episode))

    def checked(self, env: str, observation: Space, action: Space) -> Demonstrations:
        """The demonstrations in the types of the spaces.

        **Raises** `InputError` for a shape or a type that does not fit `env`, a value that is not finite, and an action
        outside the space.
        """
        obs = self.obs if isinstance(observation, Masked) else without_mask(self.obs)
        seen = _fitting_tree("obs", obs, f"observations of {env}", observation, seen=True)
        taken = _fitting_tree("action", self.action, f"actions of {env}", action, seen=False)
        if isinstance(observation, Masked):
            _check_allowed(observation.mask, seen.mask, from_environment(action, taken))
        return Demonstrations(seen, taken, self.episode)

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
        obs, action = (map_named(lambda _, each: each[which], tree, "") for tree in (self.obs, self.action))
        return Demonstrations(obs, action, None if self.episode is None else self.episode[which])


def _tree(name: str, given: object) -> PyTree:
    """A tree of arrays. A tuple is one where its elements are arrays or trees; else it is rows, as a list is."""
    if isinstance(given, Mapping) and set(given) == {"observation", "action_mask"}:
        given = MaskedObservation(given["observation"], given["action_mask"])
    if isinstance(given, MaskedObservation):
        return MaskedObservation(*(_tree(f"{name}.{key}", getattr(given, key)) for key in given._fields))
    if isinstance(given, Mapping):
        return {str(key): _tree(f"{name}[{key!r}]", given[key]) for key in sorted(given)}
    if isinstance(given, tuple) and any(isinstance(each, Mapping | tuple) or np.ndim(each) for each in given):
        return tuple(_tree(f"{name}[{index}]", each) for index, each in enumerate(given))
    return _numbers(name, given)


def _fitting_tree(name: str, rows: PyTree, whose: str, space: Space, *, seen: bool) -> PyTree:
    """`rows` in the types of `space`, if they fit it.

    **Arguments**

    - `seen`: whether they are observations, where real numbers may be out of bounds.
    """
    found = iter(leaves(space, name))
    names = map_leaves(lambda _: next(found)[0], space)

    def fitting(leaf: Leaf, label: str, each: np.ndarray) -> np.ndarray:
        return _fitting(label, each, whose, leaf, bounded=not (seen and isinstance(leaf, Box)))

    try:
        return map_leaves(fitting, space, names, rows)
    except (KeyError, IndexError, TypeError, AttributeError):
        shapes = {each: list(array.shape) for each, array in named(rows, name).items()}
        raise InputError(
            f"demonstrations: {name} has the arrays {shapes}, and {whose} are {space}. Give a tree of such arrays."
        ) from None


def _check_allowed(space: Mask, mask: np.ndarray, action: np.ndarray) -> None:
    """**Raises** `InputError` where nothing is allowed, or something else is done."""
    if not (some := space.allows(mask)).all():
        raise InputError(
            f"demonstrations: obs.mask[{int(np.argmin(some))}] allows no action. Correct the row, or leave it out."
        )
    first = np.cumsum((0, *space.counts))[:-1]
    chosen = np.take_along_axis(mask, first + action.reshape(len(mask), -1), axis=1)
    if not chosen.all():
        row = int(np.argmin(chosen.all(axis=1)))
        raise InputError(
            f"demonstrations: action[{row}] is {action[row]}, counted from 0, which obs.mask[{row}] rules out. Correct "
            "the row, or leave it out."
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
    if not isinstance(rows, np.ndarray):
        raise TypeError(name)
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
