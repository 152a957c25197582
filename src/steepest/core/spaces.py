"""What an observation or an action may be, without saying who makes it.

Every backend describes its environments with these: `Discrete`, `MultiDiscrete`, `MultiBinary` and `Box`, of which a
value is one array; and `Dict` and `Tuple` of others, of which a value is a tree of arrays. They are hashable, so that a
compiled program may be specialised on them, and they import neither JAX nor Gymnasium.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

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


@dataclasses.dataclass(frozen=True)
class Mask:
    """Which choices are allowed, a boolean for each. It is part of `Masked` observations, and stands nowhere else.

    - `counts`: of the choices of every component. They stand in one line: those of a `MultiDiscrete` one component
      after the other, and of every switch of a `MultiBinary` first off, then on.
    """

    counts: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(self.counts),)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(bool)

    def allows(self, mask):
        """Whether every component has a choice that is allowed, for each mask of a batch, [*batch, choices].

        >>> Mask((2, 2)).allows(np.array([[True, False, False, True], [True, True, False, False]])).tolist()
        [True, False]
        """
        ends = np.cumsum((0, *self.counts)).tolist()
        found = [mask[..., begin:end].any(axis=-1) for begin, end in itertools.pairwise(ends)]
        return functools.reduce(operator.and_, found)

    @classmethod
    def of(cls, action: Space) -> Mask:
        """The mask of an action space. **Raises** `InputError` for one whose actions are no choices."""
        match action:
            case Discrete(n=n):
                return cls((n,))
            case MultiDiscrete(nvec=nvec):
                return cls(nvec)
            case MultiBinary(n=n):
                return cls((2,) * n)
            case _:
                raise InputError(
                    f"there is an action mask, and the action space is {action}. Masks are of Discrete, MultiDiscrete "
                    "and MultiBinary actions; leave it out with --action-masks False (action_masks=False in Python)."
                )


@dataclasses.dataclass(frozen=True)
class Dict:
    """Several spaces by name. A value is a dictionary with an entry for each.

    - `spaces`: pairs of name and space, sorted by name, as JAX sorts dictionaries.

    >>> space = Dict({"speed": Box(-1, 1, (2,)), "gear": Discrete(5)})
    >>> print(space)
    Dict(gear: Discrete(n=5, start=0), speed: Box[2] in [-1, 1])
    """

    spaces: tuple[tuple[str, Space], ...]

    def __init__(self, spaces: Mapping[str, Space] | tuple[tuple[str, Space], ...]):
        pairs = spaces.items() if isinstance(spaces, Mapping) else spaces
        object.__setattr__(self, "spaces", tuple(sorted(pairs, key=lambda pair: pair[0])))
        if not self.spaces:
            raise InputError("Dict: it has no entry. Give it at least one.")

    def __str__(self):
        return f"Dict({', '.join(f'{name}: {space}' for name, space in self.spaces)})"


@dataclasses.dataclass(frozen=True)
class Tuple:
    """Several spaces in a row. A value is a tuple with an entry for each."""

    spaces: tuple[Space, ...]

    def __post_init__(self):
        if not self.spaces:
            raise InputError("Tuple: it has no entry. Give it at least one.")

    def __str__(self):
        return f"Tuple({', '.join(map(str, self.spaces))})"


@dataclasses.dataclass(frozen=True)
class Masked:
    """Observations that come with a mask of the actions that are allowed. A value is a `MaskedObservation`.

    - `observation`: what networks see.
    - `mask`: what rules actions out.
    """

    observation: Space
    mask: Mask

    def __str__(self):
        return f"{self.observation} with a mask of {self.mask.shape[0]} choices"


class MaskedObservation(NamedTuple):
    """An observation, and which choices it allows: a value of `Masked`."""

    observation: Any
    mask: Any


Leaf = Discrete | MultiDiscrete | MultiBinary | Box | Mask
"""A space whose values are one array, of its `shape` and `dtype`."""
Space = Leaf | Dict | Tuple | Masked


def without_mask(given):
    """A space, or a value of it, without the mask that it may come with.

    >>> print(without_mask(Masked(Discrete(2), Mask((3,)))), without_mask(MaskedObservation(1, [True, False, True])))
    Discrete(n=2, start=0) 1
    """
    return given.observation if isinstance(given, Masked | MaskedObservation) else given


def map_leaves(function: Callable, space: Space, *values):
    """`function(leaf, *arrays)` at every leaf of a tree of spaces, and of values that are such trees; as such a tree.

    Of a space that is no tree, it is `function(space, *values)`.

    >>> map_leaves(lambda leaf, value: value + 1, Tuple((Discrete(2), Dict({"a": Discrete(3)}))), (0, {"a": 2}))
    (1, {'a': 3})
    """
    match space:
        case Dict(spaces=pairs):
            return {name: map_leaves(function, each, *(value[name] for value in values)) for name, each in pairs}
        case Tuple(spaces=spaces):
            parts = enumerate(spaces)
            return tuple(map_leaves(function, each, *(value[index] for value in values)) for index, each in parts)
        case Masked(observation=observation, mask=mask):
            seen = map_leaves(function, observation, *(value.observation for value in values))
            return MaskedObservation(seen, function(mask, *(value.mask for value in values)))
        case _:
            return function(space, *values)


def with_leaves(function: Callable[[Leaf], Leaf], space: Space) -> Space:
    """The space with `function(leaf)` in place of every leaf, but for masks."""
    match space:
        case Dict(spaces=pairs):
            return Dict(tuple((name, with_leaves(function, each)) for name, each in pairs))
        case Tuple(spaces=spaces):
            return Tuple(tuple(with_leaves(function, each) for each in spaces))
        case Masked(observation=observation, mask=mask):
            return Masked(with_leaves(function, observation), mask)
        case _:
            return function(space)


def stacked(space: Space, frames: int) -> Space:
    """Observations that hold the last frames: every `Box` with an axis of `frames` before its own, oldest first.

    Choices and masks stay as they are: those of the moment.
    """

    def one(leaf: Leaf) -> Leaf:
        if not isinstance(leaf, Box):
            return leaf
        return Box(leaf.low[None], leaf.high[None], (frames, *leaf.shape), dtype=leaf.dtype)

    return with_leaves(one, space)


def unstacked(space: Space) -> Space:
    """The observations of which `stacked` made these: one frame of every `Box`."""

    def one(leaf: Leaf) -> Leaf:
        return Box(leaf.low[0], leaf.high[0], leaf.shape[1:], dtype=leaf.dtype) if isinstance(leaf, Box) else leaf

    return with_leaves(one, space)


def leaves(space: Space, name: str = "") -> list[tuple[str, Leaf]]:
    """Every leaf of a tree of spaces, with its name in Python's words; in JAX's order.

    >>> [name for name, _ in leaves(Dict({"b": Tuple((Discrete(2), Discrete(3))), "a": Discrete(2)}), "obs")]
    ["obs['a']", "obs['b'][0]", "obs['b'][1]"]
    """
    match space:
        case Dict(spaces=pairs):
            return [leaf for key, each in pairs for leaf in leaves(each, f"{name}[{key!r}]")]
        case Tuple(spaces=spaces):
            return [leaf for index, each in enumerate(spaces) for leaf in leaves(each, f"{name}[{index}]")]
        case Masked(observation=observation, mask=mask):
            return [*leaves(observation, name), (f"{name}.mask", mask)]
        case _:
            return [(name, space)]


def zeros(space: Space, *batch: int):
    """Values of a space that are 0 throughout, with these leading axes, in host memory."""
    return map_leaves(lambda leaf: np.zeros((*batch, *leaf.shape), leaf.dtype), space)


def value_bytes(space: Space) -> int:
    """The bytes that one value takes."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for _, leaf in leaves(space))


def is_picture(space: Space) -> bool:
    """Whether it is a `Box` of pictures: bytes or 0 to 255, of height, width and channels; or several in a row."""
    if not isinstance(space, Box) or len(space.shape) not in (3, 4):
        return False
    return space.dtype == np.uint8 or bool(np.all(space.low == 0) and np.all(space.high == 255))


@dataclasses.dataclass(frozen=True)
class Spec:
    """All that an algorithm is told of its task.

    - `observation`, `action`: the spaces.
    - `num_envs`: streams that are sampled side by side (the N of `Trajectory`).
    - `total_updates`: how many updates the run will make, for schedules that anneal to its end.
    - `max_episode_steps`: the time limit; None where there is none.
    - `frame_stack`: how many frames every `Box` of the observation holds, in its first axis; 1 where it has none.
    """

    observation: Space
    action: Space
    num_envs: int
    total_updates: int
    max_episode_steps: int | None = None
    frame_stack: int = 1


@runtime_checkable
class SpacesOfEnvironment(Protocol):
    """What a `Spec` is made of: an environment, compiled or on the host."""

    @property
    def observation_space(self) -> Space: ...

    @property
    def action_space(self) -> Space: ...

    @property
    def max_episode_steps(self) -> int | None: ...
