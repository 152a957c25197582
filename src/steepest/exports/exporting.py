"""From a run to a directory with its policy, which needs steepest no longer."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pathlib
import warnings
from typing import Literal

import numpy as np

from steepest._platform import configure_platform
from steepest.core.errors import InputError
from steepest.core.files import write_atomically, writing
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.spaces import Box, Dict, Discrete, Mask, Masked, MultiDiscrete, Space, Tuple
from steepest.core.types import PyTree
from steepest.core.validation import check_choice, whole_number
from steepest.envs.tasks import EnvironmentLike, Task
from steepest.experiments.building import build_algorithm, newest_states, task_of
from steepest.experiments.configuration import RunConfiguration, read_configuration, versions
from steepest.experiments.own import AlgorithmLike, own_parameters
from steepest.exports.plain import plain
from steepest.exports.programs import program, to_onnx, to_stablehlo
from steepest.exports.verification import Verification, verify
from steepest.runs.directory import RunDirectory

Format = Literal["numpy", "onnx", "stablehlo"]
FORMATS: tuple[Format, ...] = ("numpy", "onnx", "stablehlo")
_FILES = {"numpy": "policy.npz", "onnx": "policy.onnx", "stablehlo": "policy.stablehlo"}
_SOURCE = pathlib.Path(__file__).parent
_UNITS = "those of the environment"


@dataclasses.dataclass(frozen=True)
class Export:
    """A policy that was exported.

    - `directory`: holds the policy's file, `policy.json`, which says what it is, and `act.py`, which acts with it.
    - `seed`, `steps`: which seed of the run, and the environment steps that it had made.
    - `verification`: how it compares with the policy of the run.
    """

    directory: pathlib.Path
    format: Format
    seed: int
    steps: int
    verification: Verification


def export(
    run: str | pathlib.Path,
    *,
    format: Format = "numpy",  # noqa: A002  what it is called everywhere
    out: str | pathlib.Path | None = None,
    seed: int | None = None,
    observations: int = 1000,
    algorithm: AlgorithmLike | None = None,
    env: EnvironmentLike | None = None,
) -> Export:
    """Write the policy of a run as it acts without noise, for programs that have no steepest, and verify it.

    With it go the statistics of its observations, the scaling, squashing and clipping of its actions, and how the
    environment counts choices: it takes observations as the environment gives them, and returns actions as it takes
    them, dictionaries and tuples too. With an action mask, an observation is a dictionary of `observation` and
    `action_mask`. `act.py`, at most 40 lines of code, has `Policy()(obs)`. It needs NumPy alone (`numpy`), onnxruntime
    (`onnx`), or jax (`stablehlo`). A policy with memory takes and returns its carry; not in the format `numpy`, which
    is for dense networks and actions that are one array. Later versions of JAX read `stablehlo` for some months only:
    it is no format to keep.

    **Arguments**

    - `run`: a run directory.
    - `format`: `numpy`, `onnx` or `stablehlo`.
    - `out`: the directory; `export/FORMAT-seed-K` in the run directory when left out. An export in it is replaced.
    - `seed`: which of the run's seeds; the first when left out.
    - `observations`: on so many, half of them of episodes that it plays, `act.py` is compared with the run's policy.
    - `algorithm`, `env`: as they were given to `steepest.train`, where the algorithm is your own, or the environment
      is none that an id names.

    **Returns** where it is, and how it compares: `verification.agrees`.

    **Raises** `InputError` when it is no run, has no such seed or no checkpoint of it, or the policy cannot be written
    in this format; `StorageFault` where the files cannot be written.

    **Example**

    >>> import steepest, tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     result = steepest.train("a2c", "CartPole-v1", total_steps=800, evaluation_episodes=0, run_dir=place)
    ...     made = steepest.export(place, format="numpy", observations=100)
    ...     print(made.verification.agrees, sorted(each.name for each in made.directory.iterdir()))
    True ['act.py', 'policy.json', 'policy.npz']
    """
    check_choice("format", format, FORMATS)
    observations = whole_number("observations", observations, at_least=1, at_most=10**6, remedy="1000 is usual.")
    configure_platform()
    directory = RunDirectory.existing(run)
    config = read_configuration(directory)
    seed = config.seeds[0] if seed is None else seed
    if seed not in config.seeds:
        raise InputError(
            f"{directory.path}: seed {seed} is not among its seeds, {list(config.seeds)}. Give one of them."
        )
    place = directory.path / "export" / f"{format}-seed-{seed}" if out is None else pathlib.Path(out)
    _check_place(place)
    task = task_of(config, env)
    parameters = own_parameters(config, algorithm, task)
    found = newest_states(config, task, directory, parameters, [seed]).get(seed)
    if found is None:
        raise InputError(
            f"{directory.path}: seed {seed} has no checkpoint yet. Go on with it: steepest resume {directory.path}"
        )
    for text in found.notices:
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    built = build_algorithm(config, task, parameters, to_learn=False)
    agent, steps = found.tree.agent, found.manifest.steps
    content, about = _encoded(built, agent, format)
    about |= _about(config, task, seed, steps)
    _write(place, format, content, about)
    return Export(place, format, seed, steps, verify(place, built, agent, task, observations=observations))


def _check_place(place: pathlib.Path) -> None:
    """**Raises** `InputError` where a directory holds something else than an export."""
    if place.exists() and not place.is_dir():
        raise InputError(f"out {place}: it is a file. Give a directory.")
    if place.is_dir() and any(place.iterdir()) and not (place / "policy.json").is_file():
        raise InputError(f"out {place}: it is not empty, and holds no exported policy. Give another.")


def _encoded(algorithm: AbstractAlgorithm, agent: PyTree, form: Format) -> tuple[bytes, dict]:
    """The content of the policy's file, and what `policy.json` has to say of it."""
    if form == "numpy":
        if program(algorithm, agent).first:
            raise InputError("format is 'numpy', and the policy has memory. Take the format onnx or stablehlo.")
        arrays, network = plain(algorithm.for_evaluation(agent), algorithm.spec)
        made = io.BytesIO()
        np.savez(made, allow_pickle=False, **arrays)
        return made.getvalue(), {"network": network}
    policy = program(algorithm, agent)
    carry = [{"shape": each.shape, "dtype": str(each.dtype), "first": each.tolist()} for each in policy.first]
    return (to_onnx if form == "onnx" else to_stablehlo)(policy), {"carry": carry}


def _about(config: RunConfiguration, task: Task, seed: int, steps: int) -> dict:
    return {
        "algorithm": config.algorithm,
        "env": config.env,
        "backend": config.backend,
        "library": config.library,
        "seed": seed,
        "steps": steps,
        "observation": _described(task.observation_space, taken=False),
        "action": _described(task.action_space, taken=True),
        "trained_with": config.versions,
        "exported_with": versions(),
    }


def _described(space: Space, *, taken: bool, name: str = "") -> dict:
    """A space as JSON; a tree has `parts`, pairs of key and space, and each of its arrays the `name` of an input.

    **Arguments**

    - `taken`: whether the environment takes it: in its own type and bounds. Observations may have any that convert.
    """
    kind, root = type(space).__name__, name or ("action" if taken else "observation")
    match space:
        case Masked(observation=observation, mask=mask):
            seen = _described(observation, taken=taken, name=root)
            both = [["observation", seen], ["action_mask", _described(mask, taken=taken, name=f"{root}.mask")]]
            return {"kind": kind, "parts": both}
        case Dict() | Tuple():
            pairs = space.spaces if isinstance(space, Dict) else enumerate(space.spaces)
            parts = [[key, _described(each, taken=taken, name=f"{root}[{key!r}]")] for key, each in pairs]
            return {"kind": kind, "parts": parts}
    found = {"kind": kind, "shape": space.shape, "dtype": str(space.dtype), "units": _UNITS}
    found |= {"name": name} if name else {}
    match space:
        case Mask():
            return found
        case Box():
            low, high = (space.native_low, space.native_high) if taken else (space.low, space.high)
            kind = low.dtype if taken else space.dtype
            return found | {"dtype": str(kind), "low": _numbers(low), "high": _numbers(high)}
        case Discrete(n=n, start=start):
            return found | {"choices": [n], "first": [start]}
        case MultiDiscrete(nvec=nvec, start=start):
            kind = np.dtype(np.int64) if taken else space.dtype
            return found | {"dtype": str(kind), "choices": list(nvec), "first": list(start)}
        case _:
            count = space.shape[0]
            return found | {"choices": [2] * count, "first": [0] * count}


def _numbers(bounds: np.ndarray) -> object:
    """Bounds as JSON has them: one number where all are the same, and infinity as a word."""
    values = bounds.reshape(-1)
    if len(values) and (values == values[0]).all():
        return _number(values[0].item())
    return np.vectorize(_number, otypes=[object])(bounds).tolist()


def _number(value: float) -> float | str:
    return value if np.isfinite(value) else str(value)


def _write(place: pathlib.Path, form: Format, content: bytes, about: dict) -> None:
    """Write the policy, then `act.py`, and last what they are."""
    name, act = _FILES[form], _act(form)
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
        for other in _FILES.values():
            (place / other).unlink(missing_ok=True)
    write_atomically(place / name, content)
    write_atomically(place / "act.py", act)
    digests = {each: hashlib.sha256(data).hexdigest() for each, data in ((name, content), ("act.py", act))}
    first = {"format": form, "file": name}
    write_atomically(place / "policy.json", json.dumps(first | about | {"sha256": digests}, indent=2).encode() + b"\n")


def _act(form: Format) -> bytes:
    """The program that acts."""
    if form == "numpy":
        return (_SOURCE / "act_numpy.py").read_bytes()
    head, separator, tail = (_SOURCE / "act_onnx.py").read_bytes().partition(b"def _load")
    if form == "stablehlo":
        tail = (_SOURCE / "act_stablehlo.py").read_bytes().partition(separator)[2]
    return head + separator + tail
