"""Which runs are the same method on the same task, so that their seeds may be pooled, and what differs elsewhere."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping

from steepest.experiments.configuration import OWN, RunConfiguration
from steepest.reports.selection import ChosenRun

BUDGET = {
    "total_steps": "steps",
    "evaluation_episodes": "episodes of the evaluation",
    "evaluation_steps": "steps after which an episode of the evaluation is cut",
    "library": "whose environment it is, and its version",
}
"""What must be equal for a comparison to be fair, and how it is called in a sentence."""


@dataclasses.dataclass(frozen=True)
class Method:
    """What is compared with others: an algorithm with its settings.

    - `name`: its label or algorithm, and what tells it from others of that label.
    - `runs`: by task.
    """

    name: str
    algorithm: str
    runs: dict[str, list[ChosenRun]]


def task_name(config: RunConfiguration) -> str:
    """The environment, with what it is made with and its time limit where these are not its own."""
    changed = [f"{name} {_text(value)}" for name, value in sorted(config.env_kwargs.items())]
    if config.max_episode_steps is not None:
        changed.append(f"at most {config.max_episode_steps:,} steps")
    return f"{config.env} ({', '.join(changed)})" if changed else config.env


def settings(config: RunConfiguration) -> dict[str, object]:
    """What must be equal where seeds are pooled: hyper-parameters, and the budget."""
    hyper = {name: value for name, value in config.hyper_parameters.items() if name != "ray_address"}
    if config.algorithm == OWN:
        hyper["description"] = hashlib.sha256(str(hyper.get("description")).encode()).hexdigest()[:6]
    told = None if config.demonstrations is None else config.demonstrations["sha256"][:6]
    bounds = None if config.action_bounds == (None, None) else config.action_bounds
    return (
        {"algorithm": config.algorithm}
        | hyper
        | {name: getattr(config, name) for name in BUDGET}
        | {"demonstrations": told, "action_bounds": bounds}
    )


def group(runs: Iterable[ChosenRun]) -> list[Method]:
    """The methods, in the order of their first runs.

    Runs of one label are one method as long as nothing that counts differs between them on the same task. What differs
    becomes part of the name. Presets may differ between tasks: a method is then the algorithm as it was tuned for each.
    """
    runs = list(runs)
    labels = {each.name: each.label or each.config.algorithm for each in runs}
    differing: dict[str, list[str]] = {}
    for label in dict.fromkeys(labels.values()):
        same = [each for each in runs if labels[each.name] == label]
        differing[label] = list(dict.fromkeys(name for each in _by_task(same).values() for name in varying(each)))
    methods: dict[str, Method] = {}
    for run in runs:
        label, values = labels[run.name], settings(run.config)
        parts = [f"{name} {_text(values[name])}" for name in differing[label] if name in values]
        name = ", ".join([label, *parts])
        method = methods.setdefault(name, Method(name, run.config.algorithm, defaultdict(list)))
        method.runs[task_name(run.config)].append(run)
    return list(methods.values())


def _by_task(runs: Iterable[ChosenRun]) -> Mapping[str, list[ChosenRun]]:
    found: dict[str, list[ChosenRun]] = defaultdict(list)
    for each in runs:
        found[task_name(each.config)].append(each)
    return found


def varying(runs: Iterable[ChosenRun]) -> list[str]:
    """The names of the settings that are not the same in all of these runs."""
    values: dict[str, set[str]] = defaultdict(set)
    every = [settings(each.config) for each in runs]
    for name in dict.fromkeys(name for each in every for name in each):
        values[name] = {_text(each[name]) if name in each else "" for each in every}
    return [name for name, found in values.items() if len(found) > 1]


def _text(value: object) -> str:
    match value:
        case bool() | str() | None:
            return str(value)
        case int():
            return f"{value:,}" if abs(value) >= 10_000 else str(value)
        case float():
            return f"{value:g}"
        case tuple() | list():
            return "×".join(map(_text, value))
        case _:
            return json.dumps(value, sort_keys=True, default=str)
