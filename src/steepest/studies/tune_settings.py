"""What a search for hyper-parameters was asked for, as `tune.json` has it. Reading one does not import JAX."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from steepest.algorithms import HyperParameters
from steepest.core.errors import InputError
from steepest.core.files import read_at_most, write_atomically, writing
from steepest.core.validation import shown
from steepest.experiments.configuration import hyper_parameters
from steepest.studies.ranges import Range

_LONGEST = 2**20
"""Bytes of a file of settings."""
_KINDS = {
    "algorithm": str,
    "env": str,
    "begin": dict,
    "preset": dict,
    "space": list,
    "seeds": list,
    "fresh_seeds": list,
    "options": dict,
}


@dataclasses.dataclass(frozen=True)
class TuneSettings:
    """What is searched, and how a setting is judged. All of it stays the same while a search goes on.

    - `begin`: the hyper-parameters with which the search begins, those that differ from the paper's.
    - `preset`: what was tuned for the environment before, where the search was to begin with that.
    - `space`: what is searched.
    - `seeds`: of every trial; `fresh_seeds`: of the best, and of the defaults, once the search is over.
    - `options`: what else is given to `steepest.train`.
    """

    algorithm: str
    env: str
    begin: Mapping[str, Any]
    preset: Mapping[str, Any]
    space: tuple[Range, ...]
    seeds: tuple[int, ...]
    fresh_seeds: tuple[int, ...]
    options: Mapping[str, Any]

    @property
    def start(self) -> HyperParameters:
        """The hyper-parameters with which the search begins."""
        return hyper_parameters(self.algorithm, dict(self.begin))

    def hyper(self, found: Mapping[str, Any]) -> dict[str, object]:
        """The hyper-parameters of a trial, those that differ from the paper's."""
        return changes(dataclasses.replace(self.start, **found))

    def dump(self) -> bytes:
        """As JSON."""
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        content["space"] = [each.dump() for each in self.space]
        return json.dumps(content, indent=2).encode() + b"\n"

    @classmethod
    def parse(cls, text: bytes) -> TuneSettings:
        """Undo `dump`. **Raises** `InputError` for a field that is missing, unknown, or not what it may be."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"not valid JSON ({error}). Restore it from a copy.") from error
        if not isinstance(content, dict) or set(content) != set(_KINDS):
            raise InputError(f"its fields must be {', '.join(_KINDS)}. Restore it from a copy.")
        wrong = next((name for name, kind in _KINDS.items() if not isinstance(content[name], kind)), None)
        if wrong is None:
            seeds = [*content["seeds"], *content["fresh_seeds"]]
            wrong = None if all(type(each) is int for each in seeds) else "seeds"
        if wrong is not None:
            raise InputError(f"{wrong} is {shown(content[wrong])}. Restore the file from a copy.")
        for name in ("seeds", "fresh_seeds"):
            content[name] = tuple(content[name])
        for name in ("begin", "preset"):
            content[name] = {
                one: tuple(each) if isinstance(each, list) else each for one, each in content[name].items()
            }
        content["space"] = tuple(Range.parse(each) for each in content["space"])
        settings = cls(**content)
        dataclasses.replace(settings.start)  # names and values are known
        return settings

    def differs(self, other: TuneSettings) -> str | None:
        """What is not the same in another one, in words; None where all is."""
        mine, theirs = json.loads(self.dump()), json.loads(other.dump())
        name = next((name for name in mine if mine[name] != theirs[name]), None)
        if name in ("begin", "options"):
            inner = next(
                each for each in {**mine[name], **theirs[name]} if mine[name].get(each) != theirs[name].get(each)
            )
            return f"{inner} was {shown(mine[name].get(inner))} and is now {shown(theirs[name].get(inner))}"
        if name == "space":
            was, now = (", ".join(each.text for each in one.space) for one in (self, other))
            return f"it searched {was}, and is now to search {now}"
        return None if name is None else f"{name} was {shown(mine[name])} and is now {shown(theirs[name])}"


def changes(hyper: HyperParameters) -> dict[str, object]:
    """Of hyper-parameters, those that are not the paper's.

    >>> from steepest import PPO
    >>> changes(PPO(epochs=4, gae_lambda=0.95))
    {'epochs': 4}
    """
    paper = type(hyper)()
    names = [field.name for field in dataclasses.fields(hyper)]
    return {name: getattr(hyper, name) for name in names if getattr(hyper, name) != getattr(paper, name)}


def keep(settings: TuneSettings, directory: pathlib.Path) -> None:
    """Write settings into the directory of a study, or see that they are those that it has.

    **Raises** `InputError` where they are not.
    """
    path = directory / "tune.json"
    if not path.exists():
        there = next((each for each in (directory, *directory.parents) if each.exists()), directory)
        if there.exists() and not there.is_dir():
            raise InputError(f"study {directory}: {there} is a file. Give another place with --out.")
        if directory.is_dir() and any(not each.name.startswith(".") for each in directory.iterdir()):
            raise InputError(f"study {directory}: it is not empty, and no search. Give another place with --out.")
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
        write_atomically(path, settings.dump())
        return
    try:
        before = TuneSettings.parse(read_at_most(path, _LONGEST))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    differs = before.differs(settings)
    if differs is not None:
        raise InputError(f"study {directory}: {differs}. Change it back, or give another place with --out.")
