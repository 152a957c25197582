"""Trees of arrays by name: as files hold them, and as messages speak of them. Neither needs to know the space."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping

from steepest.core.spaces import MaskedObservation
from steepest.core.types import PyTree

_STEP = re.compile(r"""\[("(?:[^"\\]|\\.)*"|\d+)\]|\.(observation|mask)""")
_DEEPEST = 100
"""Steps of a path; files that say more of a name are not ours."""


@dataclasses.dataclass(frozen=True)
class _Field:
    """A field of a `MaskedObservation`, which is no key of a dictionary."""

    name: str


def map_named(function: Callable[[str, PyTree], PyTree], tree: PyTree, name: str) -> PyTree:
    """`function(name, array)` at every array of dictionaries, tuples and masked observations, as such a tree.

    >>> map_named(lambda name, each: name, {"a": (1, 2)}, "obs")
    {'a': ('obs["a"][0]', 'obs["a"][1]')}
    """
    if isinstance(tree, MaskedObservation):
        pairs = zip(tree._fields, tree, strict=True)
        return MaskedObservation(*(map_named(function, each, f"{name}.{field}") for field, each in pairs))
    if isinstance(tree, Mapping):
        return {key: map_named(function, tree[key], f"{name}[{json.dumps(key)}]") for key in sorted(tree)}
    if isinstance(tree, tuple):
        return tuple(map_named(function, each, f"{name}[{index}]") for index, each in enumerate(tree))
    return function(name, tree)


def named(tree: PyTree, name: str) -> dict[str, PyTree]:
    """The arrays of a tree by name; a bare array has the name itself."""
    found: dict[str, PyTree] = {}
    map_named(found.__setitem__, tree, name)
    return found


def from_named(arrays: Mapping[str, PyTree], name: str) -> PyTree:
    """The tree of which `named` made these arrays, and others whose names begin otherwise; None where there is none.

    **Raises** `ValueError` for names that are of no tree.

    >>> from_named(named({"b": (1, 2), "a": 3}, "obs") | {"action": 4}, "obs")
    {'a': 3, 'b': (1, 2)}
    """
    if name in arrays:
        return arrays[name]
    paths = {_steps(each.removeprefix(name)): array for each, array in arrays.items() if _begins(each, name)}
    return _built(paths) if paths else None


def _begins(each: str, name: str) -> bool:
    return each.startswith((f"{name}[", f"{name}."))


def _steps(path: str) -> tuple[str | int | _Field, ...]:
    """The steps of a path: a text for an entry of a dictionary, a number for one of a tuple, or a field."""
    steps, end = [], 0
    for match in _STEP.finditer(path):
        if match.start() != end:
            break
        steps.append(json.loads(match[1]) if match[1] else _Field(match[2]))
        end = match.end()
    if end != len(path) or len(steps) > _DEEPEST:
        raise ValueError(f"the name {path[:40]!r} is of no tree")
    return tuple(steps)


def _built(paths: dict[tuple, PyTree]) -> PyTree:
    if () in paths:
        if len(paths) > 1:
            raise ValueError("an array is a tree too")
        return paths[()]
    inner: dict = {}
    for steps, array in paths.items():
        inner.setdefault(steps[0], {})[steps[1:]] = array
    made = {step: _built(each) for step, each in inner.items()}
    if all(isinstance(step, _Field) for step in made):
        return MaskedObservation(**{step.name: each for step, each in made.items()})
    if set(made) == set(range(len(made))):
        return tuple(made[index] for index in range(len(made)))
    if all(isinstance(step, str) for step in made):
        return dict(sorted(made.items()))
    raise ValueError("entries are missing")
