"""What a trial is: something that happens to runs many times, and what was seen of it."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Seen:
    """What came of a trial.

    - `count`: how often it was tried.
    - `found`: what was seen, in words.
    - `worst`: the worst case, in words.
    - `faults`: what should not have been, a line each; none where all was right.
    - `skipped`: why it was not tried here; empty where it was.
    """

    count: int
    found: str
    worst: str
    faults: Sequence[str] = ()
    skipped: str = ""

    @property
    def verdict(self) -> str:
        """In a word."""
        return "skipped" if self.skipped else "FAULTS" if self.faults else "good"


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a trial is given.

    - `count`: how often to try.
    - `random`: where chance comes from.
    - `folder`: an empty directory of its own.
    - `tell`: called with how many were tried, and a word on the last.
    """

    count: int
    random: np.random.Generator
    folder: pathlib.Path
    tell: Callable[[int, str], None] = lambda done, word: None


@dataclasses.dataclass(frozen=True)
class Trial:
    """A kind of trial.

    - `title`: what happens, in words.
    - `count`: how often the long form tries it; `few`: how often the quick one does; 0 where it is like another.
    - `run`: tries it.
    """

    title: str
    count: int
    few: int
    run: Callable[[Setting], Seen]
