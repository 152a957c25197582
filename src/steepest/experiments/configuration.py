"""Everything needed to repeat a run, as it is written to `config.json`. Reading one does not import JAX."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.machinery
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from steepest.algorithms import ALGORITHMS, HyperParameters
from steepest.algorithms.presets import preset
from steepest.core.errors import InputError, unknown
from steepest.core.validation import check_choice, check_number, describe, shown, whole_number
from steepest.envs.tasks import BACKENDS
from steepest.runs.directory import RunDirectory

_LIBRARIES = ("jax", "jaxlib", "equinox", "optax", "numpy", "gymnasium", "envpool", "mujoco", "minari", "ray")
_RECORDED = ("steepest", *_LIBRARIES)
_OPTIONAL = (
    *("demonstrations", "evaluation_every", "importable", "schedules_begin", "earlier"),
    *("max_episode_steps", "env_kwargs", "evaluation_steps", "keep_every", "action_masks", "frame_stack"),
)
_LATER_PARAMETERS = ("memory", "memory_size", "sequence_length", "recompute_memory", "encoder", "channels")
"""Fields, and hyper-parameters, that files of earlier versions do not have."""
_DEMONSTRATIONS = {"origin": str, "transitions": int, "episodes": int | None, "sha256": str}
_SPACES = {"observation": str, "action": str}
_EXTENT = {"total_steps": int, "schedules_begin": int, "description": str | None}
_OWN_PARAMETERS = {"num_envs": int, "description": str}

OWN = "own"
"""In place of the name of an algorithm, where it is the user's own."""
MOST_SEEDS = 10_000
MOST_EPISODES = 1_000_000
"""Of an evaluation: the mean of so many is known to a thousandth of their deviation."""


@dataclasses.dataclass(frozen=True)
class RunConfiguration:
    """What was asked for, and with which versions.

    - `preset`: whether tuned hyper-parameters for this environment were taken where none were given.
    - `spaces`: of observations and actions; an id alone does not say which environment it was.
    - `seeds_per_process`: how the seeds were grouped; a resumed run keeps it, so that it repeats bit for bit.
    - `evaluation_every`: steps between two evaluations on the way; 0 for none.
    - `demonstrations`: where they come from, how many they are, and the digest of the copy in the run directory; None
      for an algorithm that plays.
    - `schedules_begin`: the steps after which schedules began, where the run was made longer; they end with the run.
    - `earlier`: the `extent` that it had before it was made longer, and before that; checkpoints may be from then.
    - `importable`: whether every process finds the environment by its id; it was not given as an object, nor
      registered by the program that began the run.
    - `max_episode_steps`: the time limit, where it is not the environment's own.
    - `env_kwargs`: what the environment is made with.
    - `evaluation_steps`: the longest episode of an evaluation; None for the time limit, if there is one.
    - `keep_every`: steps between two checkpoints that stay for good; 0 for none.
    - `action_masks`: whether observations say which actions are allowed.
    - `frame_stack`: how many frames an observation holds.
    """

    algorithm: str
    hyper_parameters: dict[str, Any]
    preset: bool
    env: str
    backend: str
    library: str
    spaces: dict[str, str]
    action_bounds: tuple[float | None, float | None]
    total_steps: int
    seeds: tuple[int, ...]
    seeds_per_process: tuple[tuple[int, ...], ...]
    evaluation_episodes: int
    checkpoint_seconds: float
    versions: dict[str, str]
    evaluation_every: int = 0
    demonstrations: dict[str, Any] | None = None
    importable: bool = True
    schedules_begin: int = 0
    earlier: tuple[dict[str, Any], ...] = ()
    max_episode_steps: int | None = None
    env_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    evaluation_steps: int | None = None
    keep_every: int = 0
    action_masks: bool = False
    frame_stack: int = 1

    def __post_init__(self):
        check_number("total_steps", self.total_steps, at_least=1, at_most=2**31 - 1, whole=True, remedy="100000, say.")
        check_number(
            "schedules_begin",
            self.schedules_begin,
            at_least=0,
            at_most=2**31 - 1,
            whole=True,
            remedy="0 is the beginning.",
        )
        check_seeds(self.seeds)
        if sorted(seed for group in self.seeds_per_process for seed in group) != sorted(self.seeds) or not all(
            self.seeds_per_process
        ):
            raise InputError(
                f"seeds_per_process is {shown(self.seeds_per_process)}; each of the seeds {shown(self.seeds)} must be "
                f"in one of its groups, and no group may be empty."
            )
        check_episodes("evaluation_episodes", self.evaluation_episodes, at_least=0)
        check_number(
            "evaluation_every",
            self.evaluation_every,
            at_least=0,
            at_most=2**31 - 1,
            whole=True,
            remedy="0 is never.",
        )
        if self.evaluation_every and not self.evaluation_episodes:
            raise InputError(
                f"evaluation_every is {self.evaluation_every}, but evaluation_episodes is 0. Give 10, say."
            )
        for name in ("max_episode_steps", "evaluation_steps"):
            check_number(name, getattr(self, name), at_least=1, at_most=2**31 - 1, whole=True, remedy="1000, say.")
        check_number("frame_stack", self.frame_stack, at_least=1, at_most=1000, whole=True, remedy="1 is one frame.")
        check_number("keep_every", self.keep_every, at_least=0, at_most=2**31 - 1, whole=True, remedy="0 is never.")
        check_number("checkpoint_seconds", self.checkpoint_seconds, at_least=0, at_most=10**7, remedy="10 is usual.")

    @property
    def extent(self) -> dict[str, Any]:
        """What changes where a run is made longer; the description is that of an algorithm of the user's own."""
        described = self.hyper_parameters.get("description") if self.algorithm == OWN else None
        return {"total_steps": self.total_steps, "schedules_begin": self.schedules_begin, "description": described}

    def history(self) -> Sequence[RunConfiguration]:
        """This configuration, and those before the run was made longer, the newest first."""
        found = [self]
        for index in reversed(range(len(self.earlier))):
            extent = _typed("earlier", self.earlier[index], _EXTENT)
            description = extent.pop("description")
            hyper = (
                self.hyper_parameters if description is None else self.hyper_parameters | {"description": description}
            )
            found.append(dataclasses.replace(self, **extent, hyper_parameters=hyper, earlier=self.earlier[:index]))
        return found

    @property
    def fingerprint(self) -> str:
        """A digest of what decides the meaning of a checkpoint's arrays; where they are computed does not."""
        decides = ("algorithm", "hyper_parameters", "env", "backend", "spaces", "action_bounds", "total_steps")
        content = {name: getattr(self, name) for name in decides}
        content |= {name: value for name in ("max_episode_steps", "env_kwargs") if (value := getattr(self, name))}
        content |= {"frame_stack": self.frame_stack} if self.frame_stack > 1 else {}
        if self.schedules_begin:
            content["schedules_begin"] = self.schedules_begin
        if self.demonstrations is not None:
            content["demonstrations"] = self.demonstrations["sha256"]
        hyper = content["hyper_parameters"]
        content["hyper_parameters"] = {name: value for name, value in hyper.items() if name != "ray_address"}
        return hashlib.sha256(json.dumps(_plain(content), sort_keys=True).encode()).hexdigest()

    def parameters(self) -> HyperParameters:
        """The hyper-parameters as the algorithm's own object.

        **Raises** `InputError` where the algorithm is the user's own, which no file holds.
        """
        if self.algorithm == OWN:
            raise InputError(
                "the run was made with an algorithm of your own, which no file holds. Go on from Python: "
                "steepest.resume(run, algorithm=…) or steepest.evaluate(run, algorithm=…)."
            )
        return hyper_parameters(self.algorithm, self.hyper_parameters)

    def dump(self) -> bytes:
        """As JSON, with `inf` as a word, since JSON has no infinity."""
        return json.dumps(_plain(dataclasses.asdict(self)), indent=2).encode() + b"\n"

    @classmethod
    def parse(cls, content: object) -> RunConfiguration:
        """Undo `dump`. **Raises** `InputError` for a field that is missing, unknown, or not what it may be."""
        try:
            given = _typed("", content, typing.get_type_hints(cls), optional=_OPTIONAL)
            _typed("spaces", given["spaces"], _SPACES)
            check_choice("backend", given["backend"], [each for each in BACKENDS if each != "auto"])
            given["hyper_parameters"] = _recorded_parameters(given)
            config = cls(**given)
            config._check_demonstrations()
            config.history()
            if config.algorithm != OWN:
                config.parameters()
        except InputError as error:
            raise InputError(f"config.json: {error}") from error
        return config

    def _check_demonstrations(self) -> None:
        """**Raises** `InputError` where what is recorded of demonstrations is not whole, or none are due."""
        demonstrated = self.algorithm == OWN or algorithm_class(self.algorithm).demonstrated
        if self.demonstrations is None:
            if demonstrated and self.algorithm != OWN:
                raise InputError(f"demonstrations is None, and {self.algorithm} learns from them. {_RESTORE}")
            return
        _typed("demonstrations", self.demonstrations, _DEMONSTRATIONS)
        if not demonstrated:
            raise InputError(f"demonstrations are given, and {self.algorithm} learns from none. {_RESTORE}")
        for name in ("transitions", "episodes"):
            if (count := self.demonstrations[name]) is not None:
                check_number(f"demonstrations.{name}", count, at_least=1, remedy=_RESTORE)


_RESTORE = "Restore the file from a copy."


def _check_names(whole: str, given: dict[str, Any], known: set[str], optional: tuple[str, ...] = ()) -> None:
    odd = sorted((known ^ set(given)) - (set(optional) - set(given)))
    if odd:
        name = f"{whole}.{odd[0]}" if whole else odd[0]
        what = "missing" if odd[0] in known else "unknown"
        name = name if odd[0] in known else shown(name)
        raise InputError(f"field {name} is {what}. Use the version of steepest that wrote it.")


def _typed(whole: str, content: object, kinds: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a JSON object, each of its type. **Raises** `InputError` that names the first which is not.

    **Arguments**

    - `whole`: the name of the object, for messages.
    - `kinds`: for each field its annotation.
    """
    if not isinstance(content, dict):
        raise InputError(f"{whole or 'the content'} is {shown(content)}; it must be an object with fields. {_RESTORE}")
    _check_names(whole, content, set(kinds), optional)
    prefix = f"{whole}." if whole else ""
    return {name: _of_type(f"{prefix}{name}", value, kinds[name]) for name, value in content.items()}


def _recorded_parameters(given: dict[str, Any]) -> dict[str, Any]:
    """The hyper-parameters of a configuration, each of its type."""
    name, recorded = "hyper_parameters", given["hyper_parameters"]
    if given["algorithm"] != OWN:
        kinds = {each.name: each.kind for each in describe(algorithm_class(given["algorithm"]))}
        return _typed(name, recorded, kinds, optional=_LATER_PARAMETERS)
    learns = {} if given.get("demonstrations") is None else {"held_out": float}
    found = _typed(name, recorded, _OWN_PARAMETERS | learns)
    check_number(f"{name}.num_envs", found["num_envs"], at_least=1, at_most=10**6, remedy=_RESTORE)
    return found


def _of_type(name: str, value: object, kind: Any) -> object:
    """A value of JSON as its annotation wants it: lists become tuples, and the word inf a number."""
    if typing.get_origin(kind) is Annotated:
        kind = typing.get_args(kind)[0]
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:  # a number that may be an array, when it is given from Python
        kind = float
    if origin in (types.UnionType, typing.Union):
        (some,) = [each for each in inner if each is not type(None)]
        return None if value is None else _of_type(name, value, some)
    if origin is Literal:
        check_choice(name, value, inner)
        return value
    if origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        if len(value) == len(kinds):
            return tuple(_of_type(name, each, one) for each, one in zip(value, kinds, strict=True))
    elif origin is dict and isinstance(value, dict):
        plain = inner[1] is Any
        return value if plain else {key: _of_type(f"{name}.{key}", each, inner[1]) for key, each in value.items()}
    elif kind is float and value in ("inf", "-inf"):
        return float(str(value))
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) > sys.float_info.max:  # which `float` would refuse
            return float(value)
    elif isinstance(kind, type) and type(value) is kind:
        return value
    described = _DESCRIBED.get(kind) or ("an object with fields" if origin is dict else f"a list like {kind}")
    raise InputError(f"{name} is {shown(value)}; it must be {described}. {_RESTORE}")


_DESCRIBED = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def check_seeds(seeds: Sequence[int]) -> None:
    """**Raises** `InputError` for seeds that are too many, twice the same, or out of bounds."""
    check_number("seeds", len(seeds), at_least=1, at_most=MOST_SEEDS, remedy="4, say.")
    for seed in seeds:
        check_number("seed", seed, at_least=0, at_most=2**31 - 1, whole=True, remedy="0, say.")
    if len(set(seeds)) != len(seeds):
        raise InputError(f"seeds is {shown(seeds)}; each may be there once only.")


def seed_range(first: object, count: object, *, name: str = "seeds") -> tuple[int, ...]:
    """So many seeds in a row. **Raises** `InputError` for too many, under this name, or one out of bounds."""
    count = whole_number(name, count, at_least=1, at_most=MOST_SEEDS, remedy="4, say.")
    first = whole_number("seed", first, at_least=0, at_most=2**31 - count, remedy="0, say.")
    return tuple(range(first, first + count))


def check_episodes(name: str, value: object, *, at_least: int = 1) -> int:
    """A number of episodes. **Raises** `InputError` for one that nobody can wait for."""
    return whole_number(name, value, at_least=at_least, at_most=MOST_EPISODES, remedy="100 is usual.")


def read_configuration(run: RunDirectory) -> RunConfiguration:
    """The configuration of a run.

    **Raises** `InputError` where it is damaged, or its environment or encoder is a module in the run directory: looking
    at a run must not execute what lies in it.
    """
    config = RunConfiguration.parse(run.read_config())
    encoder = config.hyper_parameters.get("encoder")
    for field, value in (("env", config.env), ("encoder", encoder if isinstance(encoder, str) else "")):
        module, colon, _ = value.partition(":")
        inside = run.path.resolve()
        if colon and any(place.resolve().is_relative_to(inside) for place in _places(module)):
            raise InputError(
                f"{run.config}: {field} is {value!r}, a module in the run directory itself, which is not executed. "
                f"Move it elsewhere if you trust it."
            )
    return config


def _places(module: str) -> list[pathlib.Path]:
    """Where a module and the packages around it lie. Nothing is imported."""
    found: list[str | None] = []
    searched: Sequence[str] | None = [os.getcwd(), *sys.path]
    for part in module.split("."):
        spec = None if searched is None else importlib.machinery.PathFinder.find_spec(part, searched)
        if spec is None:
            break
        searched = spec.submodule_search_locations and list(spec.submodule_search_locations)
        found += [spec.origin, *(searched or ())]
    return [pathlib.Path(each) for each in found if each]


def hyper_parameters(algorithm: str, given: dict) -> HyperParameters:
    """An algorithm's hyper-parameters from their names.

    **Raises** `InputError` for an unknown algorithm or name, and for a value out of bounds.
    """
    check_names(algorithm, given)
    return algorithm_class(algorithm)(**given)


def check_names(algorithm: str, given: Mapping[str, Any]) -> None:
    """**Raises** `InputError` for an unknown algorithm, and for a hyper-parameter that it does not have."""
    known = [field.name for field in dataclasses.fields(algorithm_class(algorithm))]
    for name in given:
        if name not in known:
            raise of_other_algorithms(algorithm, name) or unknown(f"hyper-parameter of {algorithm}", name, known)


def of_other_algorithms(algorithm: str, name: str) -> InputError | None:
    """An `InputError` for a hyper-parameter that others have and this algorithm has not; None where none has it.

    >>> of_other_algorithms("trpo", "clip_radius")
    InputError('trpo has no clip_radius; ppo has it. Leave it out, or take that.')
    """
    having = [each for each, kind in ALGORITHMS.items() if name in {field.name for field in dataclasses.fields(kind)}]
    if not having:
        return None
    *others, last = having
    which, remedy = (f"{', '.join(others)} and {last} have", "one of those") if others else (f"{last} has", "that")
    return InputError(f"{algorithm} has no {name}; {which} it. Leave it out, or take {remedy}.")


def algorithm_class(name: str) -> type[HyperParameters]:
    """The hyper-parameters' class of an algorithm. **Raises** `InputError` with the nearest name for an unknown one."""
    if name not in ALGORITHMS:
        raise unknown("algorithm", name, ALGORITHMS, "steepest list algorithms")
    return ALGORITHMS[name]


def tuned(algorithm: str, env: str, given: Mapping[str, Any] | None = None) -> HyperParameters:
    """The algorithm's defaults, changed where there is a preset for the environment, and then by what is given.

    What is given need not fit the defaults, only the preset: 5 streams of its 200 steps make minibatches of 100.

    >>> tuned("ppo", "Pendulum-v1", {"num_envs": 5, "minibatch_size": 100}).segment_length
    200
    """
    return hyper_parameters(algorithm, {**preset(algorithm, env), **(given or {})})


def versions() -> dict[str, str]:
    """Of Python, the machine, and the libraries that matter and are installed."""
    found = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    for name in _RECORDED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _plain(value: object) -> object:
    match value:
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value
