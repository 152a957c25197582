"""What a study is to be: a file in TOML, or the same as a dictionary, and the runs that it stands for. No JAX here.

    algorithms = ["ppo", "a2c"]
    envs = ["CartPole-v1", "Acrobot-v1"]
    seeds = "0-4"
    total_steps = { CartPole-v1 = 100_000, Acrobot-v1 = 300_000 }

    [grid]
    learning_rate = [1e-3, 3e-4]

Every algorithm is run on every environment with every setting and every seed.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from steepest.core.errors import InputError, unknown
from steepest.core.files import read_at_most
from steepest.core.validation import shown, whole_number
from steepest.experiments.configuration import MOST_SEEDS, algorithm_class, check_seeds, hyper_parameters, tuned
from steepest.studies.planned import PlannedRun, named

Content = Mapping[str, Any]
"""What a file in TOML holds, or a part of it; it is checked where it is read."""
OPTIONS = (
    *("total_steps", "backend", "preset", "action_low", "action_high", "max_episode_steps", "env_kwargs"),
    *(
        "action_masks",
        "frame_stack",
        "evaluation_episodes",
        "evaluation_every",
        "evaluation_steps",
        "checkpoint_seconds",
    ),
    *("demonstrations", "demonstration_episodes", "stochastic_demonstrations"),
)
"""What is given to `steepest.train` under the same name."""
DEFAULTS = {"total_steps": 100_000, "evaluation_episodes": 100}
BY_ENV = ("total_steps", "max_episode_steps", "evaluation_steps")
"""What may be a table with a value for each environment."""
_BLOCK = ("algorithms", "envs", "seeds", *OPTIONS, "hyper_parameters", "grid", "settings")
_LONGEST = 2**20
"""Bytes of a file."""
_MOST = 10_000
"""Runs of a study."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclasses.dataclass(frozen=True)
class Study:
    """What a study is to be.

    - `runs`: in order, each under its name.
    - `text`: the file.
    """

    runs: tuple[PlannedRun, ...]
    text: str


def read_study(path: pathlib.Path) -> Study:
    """The study that a file describes. **Raises** `InputError` that names what is wrong in it."""
    if not path.is_file():
        what = "it is a directory without a study.toml" if path.is_dir() else "there is no such file"
        raise InputError(f"study {path}: {what}. Give a file in TOML; examples/study.toml is one.")
    try:
        text = read_at_most(path, _LONGEST).decode()
        content = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: it is no text ({error.reason}). Write it in UTF-8.") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not valid TOML ({error}). Put it right there.") from error
    return Study(_runs(content, path.name), text)


def study_of(content: Content) -> Study:
    """The study that a dictionary describes, which has what a file has.

    >>> study = study_of({"algorithms": "ppo", "envs": "CartPole-v1", "seeds": 2, "grid": {"epochs": [4, 8]}})
    >>> [run.name for run in study.runs][:3]
    ['ppo-CartPole-v1-epochs=4-seed-0', 'ppo-CartPole-v1-epochs=4-seed-1', 'ppo-CartPole-v1-epochs=8-seed-0']

    **Raises** `InputError` that names what is wrong in it.
    """
    text = to_toml(content)
    return Study(_runs(tomllib.loads(text), "study"), text)


def _runs(content: Content, source: str) -> tuple[PlannedRun, ...]:
    try:
        runs = list(itertools.islice(_expanded(content), _MOST + 1))
        if len(runs) > _MOST:
            raise InputError(f"it stands for more than {_MOST:,} runs. Leave some out.")
        if not runs:
            raise InputError("it stands for no run. Give algorithms, envs and seeds.")
        return tuple(named(runs))
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _expanded(content: Content) -> Iterator[PlannedRun]:
    """Every run, without its name. Tables under `runs` add to what stands above them, or change it."""
    _check_keys(content, (*_BLOCK, "runs"), "")
    shared = {name: value for name, value in content.items() if name != "runs"}
    blocks = _tables(content, "runs") if "runs" in content else [{}]
    for index, block in enumerate(blocks):
        _check_keys(block, _BLOCK, f"runs[{index}].")
        inner = {
            name: {**shared[name], **block[name]}
            for name in ("hyper_parameters", "grid")
            if isinstance(shared.get(name), Mapping) and isinstance(block.get(name), Mapping)
        }
        yield from _block({**shared, **block, **inner})


def _check_keys(given: Content, known: Sequence[str], place: str) -> None:
    for name in given:
        if name not in known:
            hint = unknown("key", f"{place}{name}", [f"{place}{each}" for each in known])
            raise InputError(f"{hint} Hyper-parameters belong into [hyper_parameters], [grid] or [[settings]].")


def _block(given: Content) -> Iterator[PlannedRun]:
    """The runs of one table: its algorithms on its environments with its settings and its seeds."""
    algorithms, envs = _names(given, "algorithms", "ppo"), _names(given, "envs", "CartPole-v1")
    seeds = parsed_seeds(given.get("seeds", 1))
    fixed = _table(given, "hyper_parameters")
    for algorithm, env in itertools.product(algorithms, envs):
        algorithm_class(algorithm)
        options = _options(given, env, envs)
        for setting, hyper in _settings(given):
            run = PlannedRun("", algorithm, env, 0, hyper={**fixed, **hyper}, options=options, setting=setting)
            _check_hyper_parameters(run)
            yield from (dataclasses.replace(run, seed=seed) for seed in seeds)


def _settings(given: Content) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every setting, by name if it has one, crossed with every point of the grid."""
    grid = _table(given, "grid")
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"grid.{name} is {shown(values)}; it must be a list of values, such as [1e-3, 3e-4].")
    tables = _tables(given, "settings") if "settings" in given else [{"name": ""}]
    names = [table.get("name") for table in tables]
    for index, name in enumerate(names):
        if not isinstance(name, str) or names.count(name) > 1:
            raise InputError(
                f"settings[{index}].name is {shown(name)}; each of them needs a name of its own. Give 'small', say."
            )
    for table in tables:
        hyper = {name: value for name, value in table.items() if name != "name"}
        twice = next((name for name in hyper if name in grid), None)
        if twice is not None:
            raise InputError(f"{twice} is in the grid and in the setting {table['name']!r}. Leave one out.")
        for point in itertools.product(*grid.values()):
            yield table["name"], {**hyper, **dict(zip(grid, point, strict=True))}


def _options(given: Content, env: str, envs: Sequence[str]) -> dict[str, Any]:
    """What `steepest.train` is given for an environment, beside hyper-parameters."""
    found = {}
    for name, value in {**DEFAULTS, **{name: given[name] for name in OPTIONS if name in given}}.items():
        if name in BY_ENV and isinstance(value, Mapping):
            odd = next((each for each in value if each not in envs), None)
            if odd is not None:
                raise unknown(f"environment in {name}", odd, envs)
            if env not in value:
                if name == "total_steps":
                    raise InputError(f"total_steps has no value for {env}. Add one.")
                continue
            value = value[env]
        found[name] = value
    for name, least in (("total_steps", 1), ("evaluation_episodes", 0)):
        found[name] = whole_number(name, found[name], at_least=least, remedy=f"{DEFAULTS[name]} is usual.")
    return found


def _check_hyper_parameters(run: PlannedRun) -> None:
    """**Raises** `InputError` for a hyper-parameter that the algorithm does not have, or that is out of bounds."""
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in run.hyper.items()}
    try:
        if run.options.get("preset", True) is True:
            tuned(run.algorithm, run.env, given)
        else:
            hyper_parameters(run.algorithm, given)
    except InputError as error:
        raise InputError(f"{run.what}: {error}") from error


def _names(given: Content, name: str, usual: str) -> list[str]:
    """A list of names, which may be one name."""
    if name not in given:
        raise InputError(f"{name} is missing; give a list, such as {name} = [{usual!r}].")
    found = [given[name]] if isinstance(given[name], str) else given[name]
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        raise InputError(f"{name} is {shown(found)}; it must be a list of names, such as [{usual!r}].")
    twice = next((each for each in found if found.count(each) > 1), None)
    if twice is not None:
        raise InputError(f"{name} has {twice!r} twice. Leave one out.")
    return found


def _table(given: Content, name: str) -> dict[str, Any]:
    found = given.get(name, {})
    if not isinstance(found, Mapping):
        raise InputError(f"{name} is {shown(found)}; it must be a table: [{name}].")
    return dict(found)


def _tables(given: Content, name: str) -> list[Content]:
    found = given[name]
    if not isinstance(found, list) or not found or not all(isinstance(each, Mapping) for each in found):
        raise InputError(f"{name} is {shown(found)}; it must be a list of tables: [[{name}]].")
    return found


def parsed_seeds(given: object) -> tuple[int, ...]:
    """Seeds from a list of them, a range such as `"0-9"` or `"0-3, 7"`, or how many, from 0 on.

    >>> parsed_seeds("0-3, 7"), parsed_seeds(2), parsed_seeds([5])
    ((0, 1, 2, 3, 7), (0, 1), (5,))

    **Raises** `InputError` for anything else.
    """
    remedy = 'Give a list, a range such as "0-9", or how many.'
    if isinstance(given, str):
        found: list[int] = []
        for part in given.split(","):
            bounds = re.fullmatch(r"\s*(\d{1,10})(?:\s*-\s*(\d{1,10}))?\s*", part)
            first, last = (0, -1) if bounds is None else (int(bounds[1]), int(bounds[2] or bounds[1]))
            if not 0 <= last - first < MOST_SEEDS:
                raise InputError(f"seeds is {shown(given)}. {remedy}")
            found += range(first, last + 1)
    elif isinstance(given, list | tuple):
        found = [whole_number("seeds", each, at_least=0, at_most=2**31 - 1, remedy=remedy) for each in given]
    else:
        found = list(range(whole_number("seeds", given, at_least=1, at_most=MOST_SEEDS, remedy=remedy)))
    check_seeds(found)
    return tuple(found)


def to_toml(content: Content) -> str:
    """A dictionary of plain values as TOML.

    >>> print(to_toml({"envs": ["CartPole-v1"], "preset": True, "grid": {"learning_rate": [1e-3, 3e-4]}}), end="")
    envs = ["CartPole-v1"]
    preset = true
    grid = {learning_rate = [0.001, 0.0003]}

    **Raises** `InputError` for what TOML has no form for.
    """
    if not isinstance(content, Mapping):
        raise InputError(
            f"study is a {type(content).__name__}; it must be a path, or a dictionary with what a file has."
        )
    return "".join(f"{_key(name)} = {_value(str(name), value)}\n" for name, value in content.items())


def _key(name: object) -> str:
    if not isinstance(name, str):
        raise InputError(f"study has a key {shown(name)}; it must be a word.")
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _value(name: str, value: object) -> str:
    if hasattr(value, "tolist"):  # a number or an array of NumPy's
        value = value.tolist()  # pyright: ignore[reportAttributeAccessIssue]
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return repr(value)
        case str() | pathlib.PurePath():
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007F")
        case list() | tuple() | range():
            return f"[{', '.join(_value(name, each) for each in value)}]"
        case Mapping():
            return f"{{{', '.join(f'{_key(each)} = {_value(name, inner)}' for each, inner in value.items())}}}"
    raise InputError(
        f"{name} is a {type(value).__name__}; a study is kept as a file, so it must be a number, a word, true or "
        f"false, or lists and tables of such."
    )
