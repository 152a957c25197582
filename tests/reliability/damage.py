"""Files of a run that are damaged at random: that is said, or it changes nothing; and never ends in a traceback."""

import collections
import contextlib
import io
import pathlib
import shutil
import warnings

import jax
import numpy as np

from reliability.small_runs import newest, trained
from reliability.trial import Seen, Setting, Trial
from steepest.cli.main import main
from steepest.core.errors import InputError
from steepest.experiments.building import newest_states
from steepest.experiments.preparing import reopen
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory
from steepest.runs.seal import Seal

WHOLE = 50
"""One in so many damaged runs is evaluated and resumed by the command line; the others are read."""


def flip(content: bytes, random: np.random.Generator) -> bytes:
    """One bit in another state."""
    changed = bytearray(content)
    changed[random.integers(len(changed))] ^= 1 << int(random.integers(8))
    return bytes(changed)


def cut(content: bytes, random: np.random.Generator) -> bytes:
    """The end is missing."""
    return content[: random.integers(len(content))]


def zeros(content: bytes, random: np.random.Generator) -> bytes:
    """A block of zeros, as file systems leave it after a crash."""
    start = int(random.integers(len(content)))
    return (content[:start] + bytes(min(512, len(content) - start)) + content[start + 512 :])[: len(content)]


def left_out(content: bytes, random: np.random.Generator) -> bytes:
    """A part in the middle is missing."""
    start, end = sorted(random.integers(len(content), size=2))
    return content[:start] + content[end:]


CONTENT = (flip, flip, cut, zeros, left_out)


def damage(run: RunDirectory, random: np.random.Generator) -> tuple[pathlib.Path, str]:
    """Damage one file, or swap two; returns which, and how."""
    checkpoints = sorted(run.path.glob("checkpoints/*/*"))
    groups = (
        [run.config],
        [run.metrics],
        [Seal(run.metrics).path],
        *([each for each in checkpoints if each.suffix == kind] for kind in _KINDS),
    )
    group = groups[random.integers(len(groups))]
    path = group[random.integers(len(group))]
    others = [each for each in group if each != path]
    how = int(random.integers(len(CONTENT) + 1 + bool(others)))
    if how < len(CONTENT):
        path.write_bytes(CONTENT[how](path.read_bytes(), random))
        return path, CONTENT[how].__name__
    if how == len(CONTENT):
        path.unlink()
        return path, "deleted"
    other = others[random.integers(len(others))]
    one, two = path.read_bytes(), other.read_bytes()
    path.write_bytes(two)
    other.write_bytes(one)
    return path, f"swapped with {other.name}"


_KINDS = (".json", ".safetensors")


def run(given: Setting) -> Seen:
    """Damage a copy of a small run, read all of it, and compare what was read with what was there."""
    whole = RunDirectory(given.folder / "whole")
    trained(whole.path)
    states, table = _read(whole)
    before = _before(whole, given.folder / "before")
    counts, faults = collections.Counter(), []
    for done in range(1, given.count + 1):
        copy = RunDirectory(given.folder / "copy")
        shutil.copytree(whole.path, copy.path)
        path, how = damage(copy, given.random)
        name = f"{path.relative_to(copy.path)}, {how}"
        try:
            found, rows, told = _listened(copy)
        except Exception as error:
            found = rows = None
            told = [f"{type(error).__name__}: {error}"]
        if (found is None and not told[0].startswith("InputError")) or any("\n" in line for line in told):
            faults.append(f"{name}: {told}")
        elif found is not None and not all(
            _is_one_of(each, states[seed], before[seed]) for seed, each in found.items()
        ):
            faults.append(f"{name}: the agents are others")
        elif told:
            counts["said"] += 1
        elif not _equal(found, states):
            counts["older"] += 1
            if how != "deleted":
                faults.append(f"{name}: the checkpoint before is taken, and nothing is said")
        elif _equal(rows, table):
            counts["same"] += 1
        else:
            faults.append(f"{name}: numbers of the table are others, and nothing is said")
        if done % WHOLE == 0:
            faults += [f"{name}: {each}" for each in _commands(copy)]
        shutil.rmtree(copy.path)
        given.tell(done, name)
    found = (
        f"{counts['said']} were said in a line; {counts['same']} changed nothing; {counts['older']} deleted "
        f"manifests were like a save that was killed"
    )
    return Seen(
        given.count,
        found,
        f"{len(faults)} tracebacks, or changes of an agent or the table that nothing was said of",
        faults,
    )


def _listened(run: RunDirectory):
    """All that is read of a run, and what was said of it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        states, rows = _read(run)
    return states, rows, [str(each.message) for each in told]


def _is_one_of(found, *known) -> bool:
    return any(_equal(found, each) for each in known)


def _before(whole: RunDirectory, place: pathlib.Path):
    """What is read where no newest checkpoint has a manifest."""
    shutil.copytree(whole.path, place)
    for seed in (0, 1):
        newest(RunDirectory(place), seed).unlink()
    states, _ = _read(RunDirectory(place))
    shutil.rmtree(place)
    return states


def _read(run: RunDirectory):
    """All that a resumed run, an evaluation and a plot take from it."""
    experiment = reopen(run.path)
    config, task, parameters = experiment.config, experiment.task, experiment.parameters
    found = newest_states(config, task, run, parameters, config.seeds)
    if set(found) != {0, 1}:
        raise InputError("a seed has no checkpoint, and begins anew")
    rows = metrics.read(run.metrics)
    states = {}
    for seed, each in found.items():
        for text in each.notices:
            warnings.warn(text, RuntimeWarning, stacklevel=1)
        leaves = jax.tree.leaves(each.tree)
        keys = [jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
        plain = [jax.random.key_data(leaf) if key else leaf for leaf, key in zip(leaves, keys, strict=True)]
        states[seed] = [np.asarray(leaf) for leaf in plain]
    return states, rows


def _equal(one, other) -> bool:
    same = jax.tree.structure(one) == jax.tree.structure(other)
    return same and all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


def _commands(run: RunDirectory) -> list[str]:
    """What was wrong with how the command line took it."""
    wrong = []
    for words in (["evaluate", str(run.path), "--episodes", "1", "--json"], ["resume", str(run.path)]):
        out, err = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
                warnings.simplefilter("default")
                status = main(words)
        except BaseException as error:
            wrong.append(f"{words[0]}: {type(error).__name__}: {error}")
            continue
        if status not in (0, 2) or "Traceback" in err.getvalue():
            wrong.append(f"{words[0]}: status {status}, {err.getvalue()!r}")
    return wrong


TRIAL = Trial("random damage to a file of a run", count=1000, few=20, run=run)
