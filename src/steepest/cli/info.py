"""`steepest info`: everything about one run."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Annotated

import tyro

from steepest.algorithms import ALGORITHMS
from steepest.cli.arguments import parse, print_json, program
from steepest.core.errors import InputError
from steepest.core.files import JsonObject, read_object
from steepest.experiments.configuration import OWN, RunConfiguration, versions
from steepest.experiments.repeating import differences, repeating_command
from steepest.experiments.run_state import RunState, is_study, latest_return, run_state

_DIGESTED = 2**30
"""Bytes of checkpoints that are read in order to see whether they are whole; beyond that, only their sizes are."""


@dataclasses.dataclass(frozen=True)
class Info:
    """Tell everything about one run: what it is, how it stands, what it came to, and how to go on."""

    run: tyro.conf.Positional[pathlib.Path]
    """A run directory."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object."""


def info(words: Sequence[str]) -> int:
    """`steepest info RUN`."""
    given = parse(Info, words, program="steepest info")
    if is_study(given.run):
        raise InputError(f"run {given.run}: it is a study. steepest runs {given.run} lists its runs.")
    found = describe_run(given.run)
    if given.as_json:
        print_json(found)
    else:
        _print(found)
    return 0


def describe_run(path: pathlib.Path) -> JsonObject:
    """What `steepest info --json` prints."""
    state = run_state(path)
    config = state.config
    found = {
        "run": str(path),
        "state": state.state,
        "why": state.why,
        "changed": datetime.datetime.fromtimestamp(state.changed).astimezone().isoformat(timespec="seconds"),
        "bytes": sum(each.stat().st_size for each in path.rglob("*") if each.is_file()),
        "files": sorted(each.name for each in path.iterdir()),
        "next": _next(state),
    }
    if config is None:
        return found
    return found | _configured(config, path) | _reached(state, config)


def _configured(config: RunConfiguration, path: pathlib.Path) -> JsonObject:
    now = versions()
    own = config.algorithm == OWN
    content = json.loads(config.dump())
    names = ("algorithm", "env", "backend", "library", "spaces", "seeds", "total_steps", "hyper_parameters", "preset")
    return {name: content[name] for name in names} | {
        "title": "an algorithm of your own" if own else ALGORITHMS[config.algorithm].title,
        "differs_from_defaults": {name: _plain(value) for name, value in differences(config).items()},
        "evaluation_episodes": config.evaluation_episodes,
        "evaluation_every": config.evaluation_every,
        "demonstrations": config.demonstrations,
        "versions": config.versions,
        "versions_that_changed": {
            name: now.get(name) for name, version in config.versions.items() if now.get(name) != version
        },
        "repeat": repeating_command(config, path),
    }


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else str(value) if value in (float("inf"), -float("inf")) else value


def _reached(state: RunState, config: RunConfiguration) -> JsonObject:
    room = _DIGESTED
    checkpoints = {}
    for seed in config.seeds:
        checkpoints[seed] = list(_checkpoints(state.run.checkpoints(seed), room))
        room -= sum(each["bytes"] for each in checkpoints[seed])
    return {
        "steps": state.steps,
        "evaluation": state.evaluation,
        "latest_return": latest_return(state.run),
        "checkpoints": checkpoints,
    }


def _checkpoints(directory: pathlib.Path, room: int) -> Iterator[JsonObject]:
    """The checkpoints of a seed, the newest first, each with whether it is whole: None where that was not looked at."""
    numbered = [each for each in directory.glob("*.json") if each.stem.isdecimal()]
    for path in sorted(numbered, key=lambda each: int(each.stem), reverse=True):
        arrays = path.with_suffix(".safetensors")
        size = arrays.stat().st_size if arrays.is_file() else 0
        try:
            manifest = read_object(path)
        except InputError:
            manifest = {}
        whole: bool | None = None
        if not size or not manifest:
            whole = False
        elif size <= room:
            room -= size
            with arrays.open("rb") as file:
                whole = hashlib.file_digest(file, "sha256").hexdigest() == manifest.get("sha256")
        yield {"update": int(path.stem), "steps": manifest.get("steps"), "bytes": size, "whole": whole}


def _next(state: RunState) -> str:
    """What a person would type now."""
    name = f"{program()} {{}} {state.path}"
    own = state.config is not None and (state.config.algorithm == OWN or not state.config.importable)
    match state.state:
        case "training":
            return "wait, or stop the process that trains in it"
        case "damaged":
            return "restore what is damaged from a copy"
        case "finished":
            return name.format("evaluate") if not own else f"from Python: steepest.evaluate({str(state.path)!r}, …)"
        case _:
            return name.format("resume") if not own else f"from Python: steepest.resume({str(state.path)!r}, …)"


def _print(found: JsonObject) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from steepest.cli.runs import STYLES

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in _lines(found):
        table.add_row(name, Text(value, STYLES[value] if name == "state" else ""))
    console = Console()
    if not console.is_terminal:  # a file is as wide as its lines
        console = Console(width=400)
    console.print(table)


def _lines(found: JsonObject) -> Iterator[tuple[str, str]]:
    yield "run", f"{found['run']} ({found['bytes'] / 1e6:.1f} MB)"
    yield "state", found["state"]
    if found["why"]:
        yield "", found["why"]
    yield "changed", found["changed"]
    if "algorithm" in found:
        yield from _lines_of_configuration(found)
        yield from _lines_of_results(found)
        yield "repeat", found["repeat"]
    yield "next", found["next"]


def _lines_of_configuration(found: JsonObject) -> Iterator[tuple[str, str]]:
    yield "algorithm", f"{found['algorithm']}: {found['title']}"
    yield "environment", f"{found['env']}, run by {found['backend']} ({found['library']})"
    yield "spaces", f"{found['spaces']['observation']} to {found['spaces']['action']}"
    start = "as tuned for the environment" if found["preset"] else "the paper's"
    changed = ", ".join(f"{name} {_word(value)}" for name, value in found["differs_from_defaults"].items())
    yield "hyper-parameters", f"{start}{f', but {changed}' if changed else ''}"
    if found["demonstrations"]:
        yield "demonstrations", found["demonstrations"]["origin"]
    yield "versions", ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    if found["versions_that_changed"]:
        now = ", ".join(f"{name} {version or 'not here'}" for name, version in found["versions_that_changed"].items())
        yield "here and now", now


def _word(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _lines_of_results(found: JsonObject) -> Iterator[tuple[str, str]]:
    total, returns = found["total_steps"], {}
    if found["evaluation"]:
        returns = {each["seed"]: each for each in found["evaluation"]["seeds"]}
    for seed in found["seeds"]:
        kept = found["checkpoints"][seed]
        text = f"{found['steps'].get(seed, 0):,} of {total:,} steps"
        if seed in returns:
            each = returns[seed]
            text += f", evaluated {each['mean_return']:.1f} ± {each['std_return']:.1f}"
        text += f", {len(kept)} checkpoint{'' if len(kept) == 1 else 's'}"
        broken = [str(each["update"]) for each in kept if each["whole"] is False]
        yield f"seed {seed}", text + (f"; damaged: update {', '.join(broken)}" if broken else "")
    if found["evaluation"]:
        low, high = found["evaluation"]["iqm_ci95"]
        episodes = f"{found['evaluation_episodes']} episodes for each seed"
        iqm = f"interquartile mean {found['evaluation']['iqm']:.1f}"
        interval = f", 95% interval {low:.1f} to {high:.1f}" if len(found["seeds"]) > 1 else ""
        yield "evaluation", f"{iqm}{interval}; {episodes}"
    elif found["latest_return"] is not None:
        yield "latest return", f"{found['latest_return']:.1f}, of episodes while learning"
