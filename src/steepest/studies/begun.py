"""Runs that have begun, beside those that are asked for: whether they mean the same."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from steepest.core.errors import InputError
from steepest.core.validation import shown
from steepest.experiments.configuration import RunConfiguration, read_configuration
from steepest.runs.directory import RunDirectory
from steepest.studies.planned import PlannedRun
from steepest.studies.study_directory import StudyDirectory

_DECIDES = (
    *("algorithm", "env", "backend", "seeds", "total_steps", "hyper_parameters", "spaces", "action_bounds"),
    *(
        "action_masks",
        "frame_stack",
        "max_episode_steps",
        "env_kwargs",
        "evaluation_episodes",
        "evaluation_every",
        "evaluation_steps",
    ),
)
"""What must be as it was for a run to be the same."""
_DOES_NOT = ("ray_address",)


def checked(study: StudyDirectory, runs: Sequence[PlannedRun], asked: Sequence[RunConfiguration]) -> list[PlannedRun]:
    """The same runs, each with the processors that it keeps busy.

    **Arguments**

    - `asked`: for each of them, what its `config.json` would say.

    **Raises** `InputError` where one has begun with something else than is asked for now.
    """
    for run, config in zip(runs, asked, strict=True):
        began = _began(study, run.name)
        differs = None if began is None else _differs(began, config)
        if differs is not None:
            raise InputError(
                f"run {run.name} has begun with another meaning: {differs}. Change it back, or give another place with "
                f"--out."
            )
    return [dataclasses.replace(run, processors=_processors(config)) for run, config in zip(runs, asked, strict=True)]


def adopted(study: StudyDirectory, runs: Sequence[PlannedRun], asked: Sequence[RunConfiguration]) -> list[PlannedRun]:
    """The same runs, under the names with which they have begun.

    What is in a name depends on what varies, so a study that grows would give its runs new names.
    """
    known: dict[str, str] = {}
    for name in study.names():
        began = _began(study, name)
        if began is not None:
            known[_meaning(began)] = name
    found, taken = [], {known[each] for each in map(_meaning, asked) if each in known}
    for run, config in zip(runs, asked, strict=True):
        name = known.get(_meaning(config))
        if name is None:
            count, name = 1, run.name
            while name in taken:
                count, name = count + 1, f"{run.name}-{count + 1}"
            taken.add(name)
        found.append(dataclasses.replace(run, name=name))
    return found


def _began(study: StudyDirectory, name: str) -> RunConfiguration | None:
    """With what a run has begun; None where it has not, or that cannot be read: then it fails, and says why."""
    try:
        return read_configuration(RunDirectory.existing(study.run(name).path))
    except InputError:
        return None


def _meaning(config: RunConfiguration) -> str:
    return json.dumps(_decisive(config), sort_keys=True)


def _decisive(config: RunConfiguration) -> dict[str, Any]:
    content = {name: getattr(config, name) for name in _DECIDES}
    hyper = content["hyper_parameters"]
    content["hyper_parameters"] = {name: value for name, value in hyper.items() if name not in _DOES_NOT}
    return content


def _differs(began: RunConfiguration, asked: RunConfiguration) -> str | None:
    """What is not the same in a run that has begun as in one that is asked for, in words; None where all is."""
    other = _decisive(asked)
    for name, value in _decisive(began).items():
        if value == other[name]:
            continue
        if isinstance(value, Mapping):
            inner = next(each for each in {**value, **other[name]} if value.get(each) != other[name].get(each))
            return f"{inner} was {shown(value.get(inner))} and is now {shown(other[name].get(inner))}"
        return f"{name} was {shown(value)} and is now {shown(other[name])}"
    return None


def _processors(config: RunConfiguration) -> int:
    """How many processors a run keeps busy."""
    workers = config.hyper_parameters.get("workers")
    if workers is not None:
        return 1 + int(workers)
    return 1 if config.backend == "compiled" or config.demonstrations is not None else 2
