"""The runs of a study before they are made: one for each algorithm, environment, setting and seed. No JAX here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from steepest.core.errors import InputError

_SAFE = re.compile(r"[^A-Za-z0-9._=+,-]+")
_LONGEST = 180
"""Characters of a name; file systems take 255 bytes."""


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One run that is to be made: one algorithm on one environment with one setting and one seed.

    - `name`: of its directory, `STUDY/runs/NAME`, and of the run wherever it is spoken of.
    - `hyper`: the hyper-parameters that are given; others come from the preset, or the paper.
    - `options`: what else is given to `steepest.train`: `total_steps`, `evaluation_episodes`, `backend`, …
    - `setting`: the name of its setting, where it has one.
    - `processors`: how many processors it keeps busy. `Executor.check` finds out.

    All of it can be written as JSON. Names can be given by `named`.

    >>> run = PlannedRun("first", "ppo", "CartPole-v1", 0, hyper={"epochs": 4}, options={"total_steps": 10_000})
    >>> run.title
    'ppo on CartPole-v1, seed 0'
    """

    name: str
    algorithm: str
    env: str
    seed: int
    hyper: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    setting: str = ""
    processors: int = 1

    @property
    def what(self) -> str:
        """The algorithm and the environment, and the setting where it has a name."""
        return f"{self.algorithm} on {self.env}" + (f", {self.setting}" if self.setting else "")

    @property
    def title(self) -> str:
        """What it is, in words."""
        return f"{self.what}, seed {self.seed}"

    @property
    def but_for_the_seed(self) -> str:
        """What it has in common with the runs that differ from it in their seed only."""
        return json.dumps([self.algorithm, self.env, self.hyper, self.options, self.setting], sort_keys=True)

    def dump(self) -> str:
        """As JSON, in one line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def parse(cls, text: str) -> PlannedRun:
        """Undo `dump`."""
        return cls(**json.loads(text))


def named(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """The same runs under names that say what they are, and can be names of files.

    Of hyper-parameters and other options those are in the name that vary among the runs of the same algorithm on the
    same environment. A setting that has a name is called by it, and then those are that vary among the runs with it.

    >>> first = PlannedRun("", "ppo", "CartPole-v1", 0, hyper={"epochs": 4, "anneal": True})
    >>> second = PlannedRun("", "ppo", "CartPole-v1", 0, hyper={"epochs": 8, "anneal": True})
    >>> [run.name for run in named([first, second])]
    ['ppo-CartPole-v1-epochs=4-seed-0', 'ppo-CartPole-v1-epochs=8-seed-0']

    **Raises** `InputError` where two runs are the same.
    """
    runs = list(runs)
    groups: dict[tuple[str, str, str], list[PlannedRun]] = defaultdict(list)
    for run in runs:
        groups[run.algorithm, run.env, run.setting].append(run)
    varying = {key: _varying(group) for key, group in groups.items()}
    once: dict[tuple[str, int], PlannedRun] = {}
    taken: Counter[str] = Counter()
    found = []
    for run in runs:
        if (run.but_for_the_seed, run.seed) in once:
            raise InputError(f"{run.title} is there twice with the same setting. Leave one out.")
        once[run.but_for_the_seed, run.seed] = run
        name = _name(run, varying[run.algorithm, run.env, run.setting])
        taken[name.lower()] += 1  # file systems may not tell capitals from small letters
        count = taken[name.lower()]
        found.append(dataclasses.replace(run, name=name if count == 1 else f"{name}-{count}"))
    return found


def _varying(runs: Sequence[PlannedRun]) -> list[str]:
    """The names of the hyper-parameters and options that are not the same in all of these runs."""
    given = [{**run.options, **run.hyper} for run in runs]
    names = dict.fromkeys(name for each in given for name in each)
    return [name for name in names if len({json.dumps(each.get(name), sort_keys=True) for each in given}) > 1]


def _name(run: PlannedRun, varying: Sequence[str]) -> str:
    given = {**run.options, **run.hyper}
    parts = [run.algorithm, run.env, *([run.setting] if run.setting else [])]
    parts += [f"{name}={_short(given[name])}" for name in varying if name in given]
    name = _SAFE.sub("_", "-".join([*parts, f"seed-{run.seed}"])).lstrip(".-")
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 40]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}-seed-{run.seed}"


def _short(value: object) -> str:
    """A value as it stands in a name."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}" if float(f"{value:g}") == value else repr(value)
        case list() | tuple():
            return "x".join(map(_short, value))
        case Mapping():
            return "+".join(f"{name}.{_short(each)}" for name, each in value.items())
        case _:
            return str(value)
