"""Everything needed to repeat a run, as it is written to `config.json`. Reading one does not import JAX."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import math
import platform
from typing import Any

from steepest.algorithms import ALGORITHMS, HyperParameters
from steepest.algorithms.presets import preset
from steepest.core.errors import InputError, unknown
from steepest.core.validation import check_number

_LIBRARIES = ("jax", "jaxlib", "equinox", "optax", "numpy", "gymnasium", "envpool", "mujoco", "minari", "ray")
_RECORDED = ("steepest", *_LIBRARIES)


OWN = "own"
"""In place of the name of an algorithm, where it is the user's own."""


@dataclasses.dataclass(frozen=True)
class RunConfiguration:
    """What was asked for, and with which versions.

    - `preset`: whether tuned hyper-parameters for this environment were taken where none were given.
    - `spaces`: of observations and actions; an id alone does not say which environment it was.
    - `seeds_per_process`: how the seeds were grouped; a resumed run keeps it, so that it repeats bit for bit.
    - `evaluation_every`: steps between two evaluations on the way; 0 for none.
    - `demonstrations`: where they come from, how many they are, and the digest of the copy in the run directory; None
      for an algorithm that plays.
    - `importable`: whether the environment is found by its id, and was not given as an object.
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

    def __post_init__(self):
        check_number("total_steps", self.total_steps, at_least=1, at_most=2**31 - 1, whole=True, remedy="100000, say.")
        check_number("seeds", len(self.seeds), at_least=1, remedy="4, say.")
        for seed in self.seeds:
            check_number("seed", seed, at_least=0, at_most=2**31 - 1, whole=True, remedy="0, say.")
        check_number("evaluation_episodes", self.evaluation_episodes, at_least=0, whole=True, remedy="100 is usual.")
        check_number("evaluation_every", self.evaluation_every, at_least=0, whole=True, remedy="0 is never.")
        if self.evaluation_every and not self.evaluation_episodes:
            raise InputError(
                f"evaluation_every is {self.evaluation_every}, but evaluation_episodes is 0. Give 10, say."
            )
        check_number("checkpoint_seconds", self.checkpoint_seconds, at_least=0, remedy="10 is usual.")

    @property
    def fingerprint(self) -> str:
        """A digest of what decides the meaning of a checkpoint's arrays; where they are computed does not."""
        decides = ("algorithm", "hyper_parameters", "env", "backend", "spaces", "action_bounds", "total_steps")
        content = {name: getattr(self, name) for name in decides}
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
        return hyper_parameters(self.algorithm, _revived(self.hyper_parameters))

    def dump(self) -> bytes:
        """As JSON, with `inf` as a word, since JSON has no infinity."""
        return json.dumps(_plain(dataclasses.asdict(self)), indent=2).encode() + b"\n"

    @classmethod
    def parse(cls, content: dict[str, Any]) -> RunConfiguration:
        """Undo `dump`. **Raises** `InputError` for a field that is missing, unknown or out of bounds."""
        names = {field.name for field in dataclasses.fields(cls)}
        optional = {"demonstrations", "evaluation_every", "importable"}
        odd = sorted((names ^ set(content)) - (optional - set(content)))
        if odd:
            what = "missing" if odd[0] in names else "unknown"
            raise InputError(f"config.json: field {odd[0]!r} is {what}. Use the version of steepest that wrote it.")
        lists = {name: tuple(content[name]) for name in ("seeds", "action_bounds")}
        groups = tuple(tuple(group) for group in content["seeds_per_process"])
        return cls(**{**content, **lists, "seeds_per_process": groups})


def hyper_parameters(algorithm: str, given: dict[str, Any]) -> HyperParameters:
    """An algorithm's hyper-parameters from their names.

    **Raises** `InputError` for an unknown algorithm or name, and for a value out of bounds.
    """
    kind = algorithm_class(algorithm)
    known = [field.name for field in dataclasses.fields(kind)]
    for name in given:
        if name not in known:
            raise unknown(f"hyper-parameter of {algorithm}", name, known)
    return kind(**given)


def algorithm_class(name: str) -> type[HyperParameters]:
    """The hyper-parameters' class of an algorithm. **Raises** `InputError` with the nearest name for an unknown one."""
    if name not in ALGORITHMS:
        raise unknown("algorithm", name, ALGORITHMS, "steepest list algorithms")
    return ALGORITHMS[name]


def tuned(algorithm: str, env: str) -> HyperParameters:
    """The algorithm's defaults, changed where there is a preset for the environment."""
    return hyper_parameters(algorithm, preset(algorithm, env))


def versions() -> dict[str, str]:
    """Of Python, the machine, and the libraries that matter and are installed."""
    found = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    for name in _RECORDED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value


def _revived(given: dict[str, Any]) -> dict[str, Any]:
    def revive(value: Any) -> Any:
        if value in ("inf", "-inf"):
            return float(value)
        return tuple(value) if isinstance(value, list) else value

    return {name: revive(value) for name, value in given.items()}
