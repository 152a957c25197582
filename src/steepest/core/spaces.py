"""What an observation or an action may be, without saying who makes it.

Every backend describes its environments with these four. They are hashable, so that a compiled program may be
specialised on them, and they import neither JAX nor Gymnasium.
"""

import dataclasses
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from steepest.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Discrete:
    """One of `n` choices, numbered from 0. `start` is what the environment calls the first one."""

    n: int
    start: int = 0

    def __post_init__(self):
        _check_count("Discrete: n", self.n)

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.int32)


@dataclasses.dataclass(frozen=True)
class MultiDiscrete:
    """Several choices at once: one of `nvec[i]` for each i, numbered from 0.

    `start[i]` is what the environment calls the first of them; 0 everywhere when left out.
    """

    nvec: tuple[int, ...]
    start: tuple[int, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "start", self.start or (0,) * len(self.nvec))
        for index, count in enumerate(self.nvec):
            _check_count(f"MultiDiscrete: nvec[{index}]", count)

    def __str__(self):
        counted = f", start={self.start}" if any(self.start) else ""
        return f"MultiDiscrete(nvec={self.nvec}{counted})"

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.nvec),)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.int32)


@dataclasses.dataclass(frozen=True)
class MultiBinary:
    """`n` switches."""

    n: int

    def __post_init__(self):
        _check_count("MultiBinary: n", self.n)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.n,)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.int32)


def _check_count(name: str, count: int) -> None:
    if count < 1:
        raise InputError(f"{name} is {count}; it must be at least 1.")


@dataclasses.dataclass(frozen=True, eq=False)
class Box:
    """Real numbers, `low` ≤ x ≤ `high` elementwise; infinite bounds are allowed.

    **Arguments**

    - `low`, `high`: scalars or arrays that broadcast to `shape`, in the environment's units.
    - `shape`: of one value, without batch axes. Taken from the bounds when left out.
    - `native`: the type in which the environment takes actions. What policies choose is in single precision, which
      holds few bounds exactly: `native_low` and `native_high` are the bounds as the environment has them.
    - `dtype`: the type in which values are kept: float32, or uint8 for pictures, which then take a quarter of the room.

    Two boxes are equal where policies cannot tell them apart, whatever their native types.
    """

    low: np.ndarray
    high: np.ndarray
    shape: tuple[int, ...]
    if TYPE_CHECKING:  # no fields: they are no part of what it is
        dtype: np.dtype
        native_low: np.ndarray
        native_high: np.ndarray

    def __init__(
        self,
        low,
        high,
        shape: tuple[int, ...] | None = None,
        *,
        native: npt.DTypeLike = np.float32,
        dtype: npt.DTypeLike = np.float32,
    ):
        object.__setattr__(self, "dtype", np.dtype(dtype))
        if self.dtype not in (np.float32, np.uint8):
            raise InputError(f"Box: dtype is {self.dtype}; values are kept as float32 or uint8. Take one of them.")
        shape = np.broadcast_shapes(np.shape(low), np.shape(high)) if shape is None else tuple(shape)
        for name, bound in (("low", low), ("high", high)):
            for prefix, kind in (("", np.float32), ("native_", native)):
                array = np.broadcast_to(np.asarray(bound).astype(kind), shape).copy()
                array.setflags(write=False)
                object.__setattr__(self, prefix + name, array)
        object.__setattr__(self, "shape", shape)
        if np.any(self.low >= self.high):
            where = tuple(int(i) for i in np.argwhere(np.atleast_1d(self.low >= self.high))[0])
            raise InputError(f"Box: low must be below high; at index {where} it is not. Give the bounds in order.")

    @property
    def bounded(self) -> bool:
        """Whether every bound is finite."""
        return bool(np.all(np.isfinite(self.low)) and np.all(np.isfinite(self.high)))

    def _identity(self):
        return self.shape, self.low.tobytes(), self.high.tobytes(), self.dtype

    def __eq__(self, other):
        return isinstance(other, Box) and self._identity() == other._identity()

    def __hash__(self):
        return hash(self._identity())

    def __str__(self):
        """In a few words: the bounds of a picture would fill the screen."""
        return f"Box{list(self.shape)} in [{self.low.min():g}, {self.high.max():g}]"


Space = Discrete | MultiDiscrete | MultiBinary | Box


@dataclasses.dataclass(frozen=True)
class Spec:
    """All that an algorithm is told of its task.

    - `observation`, `action`: the spaces.
    - `num_envs`: streams that are sampled side by side (the N of `Trajectory`).
    - `total_updates`: how many updates the run will make, for schedules that anneal to its end.
    - `max_episode_steps`: the time limit; None where there is none.
    """

    observation: Space
    action: Space
    num_envs: int
    total_updates: int
    max_episode_steps: int | None = None


@runtime_checkable
class SpacesOfEnvironment(Protocol):
    """What a `Spec` is made of: an environment, compiled or on the host."""

    @property
    def observation_space(self) -> Space: ...

    @property
    def action_space(self) -> Space: ...

    @property
    def max_episode_steps(self) -> int | None: ...
