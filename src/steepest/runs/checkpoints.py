"""Trees of arrays on disk: safetensors beside a manifest with their digest. Nothing that is loaded is executed."""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from steepest.core.errors import InputError, StorageFault
from steepest.core.files import read_at_most, remove_leftovers, write_atomically, writing
from steepest.core.types import PyTree
from steepest.core.validation import shown

_KEPT = 2
_LONGEST = 2**16
"""Bytes of a manifest."""
_HEADER, _ENTRY = 2**16, 2**10
"""Bytes of the description of arrays in their file: of all, and of each."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a checkpoint says of itself.

    - `fingerprint`: of the configuration that made it; another configuration's arrays may have the same shapes.
    - `sha256`: of the file of arrays.
    """

    seed: int
    update: int
    steps: int
    fingerprint: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class Found:
    """The newest whole checkpoint of a seed.

    - `tree`: what it holds.
    - `passed`: what is wrong with newer ones, a sentence for each.
    """

    tree: PyTree
    manifest: Manifest
    passed: tuple[str, ...]

    @property
    def notices(self) -> list[str]:
        """What a person should know of it: a line for each newer one."""
        return [f"{why} Taken in its place: update {self.manifest.update}, before it." for why in self.passed]


class OtherConfiguration(InputError):  # noqa: N818  nothing is damaged
    """A checkpoint that is whole, and made by another configuration or version."""


def save(
    directory: pathlib.Path,
    tree: PyTree,
    *,
    seed: int,
    update: int,
    steps: int,
    fingerprint: str,
    keep_every: int = 0,
) -> pathlib.Path:
    """Write a checkpoint so that a crash, or a full disk, leaves the one before it whole.

    What killed processes left half-written is removed, and so are checkpoints of later updates: they were damaged, or
    training would not have gone on from an earlier one.

    **Arguments**

    - `keep_every`: besides the newest two, the first checkpoint at or after every so many steps is kept; 0 for none.

    **Returns** its manifest, which is written last: a checkpoint with a manifest is complete.

    **Raises** `StorageFault` when it cannot be written.
    """
    stem = directory / f"{update:09d}"
    arrays, manifest = stem.with_suffix(".safetensors"), stem.with_suffix(".json")
    content = safetensors.numpy.save(_flatten(tree))
    about = Manifest(seed, update, steps, fingerprint, hashlib.sha256(content).hexdigest())
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(directory)
        _keep(directory, [path for path in manifests(directory) if _number(path) <= update])
    try:
        write_atomically(arrays, content)
        write_atomically(manifest, json.dumps(dataclasses.asdict(about), indent=2).encode())
    except StorageFault:
        if not manifest.exists():
            with contextlib.suppress(OSError):
                arrays.unlink(missing_ok=True)
        raise
    with writing(directory):
        _keep(directory, [*manifests(directory)[:_KEPT], *_first_of_each(directory, keep_every)])
    return manifest


def _first_of_each(directory: pathlib.Path, keep_every: int) -> list[pathlib.Path]:
    """The first checkpoint within every so many steps; none where that is 0. Damaged ones say nothing."""
    first: dict[int, pathlib.Path] = {}
    for path in manifests(directory) if keep_every else ():
        with contextlib.suppress(InputError):
            first[read_manifest(path).steps // keep_every] = path  # from the newest to the oldest
    return list(first.values())


def _keep(directory: pathlib.Path, kept: list[pathlib.Path]) -> None:
    """Remove all checkpoints but those with these manifests, and arrays without a manifest."""
    stems = {path.stem for path in kept}
    for path in [*manifests(directory), *manifests(directory, ".safetensors")]:
        if path.stem not in stems:
            path.unlink(missing_ok=True)


def _number(path: pathlib.Path) -> int:
    return int(path.stem)


def manifests(directory: pathlib.Path, suffix: str = ".json") -> list[pathlib.Path]:
    """The manifests of all checkpoints, the newest first."""
    found = [path for path in directory.glob(f"*{suffix}") if re.fullmatch("[0-9]{9,10}", path.stem)]
    return sorted(found, key=_number, reverse=True)


def latest(directory: pathlib.Path) -> pathlib.Path | None:
    """The manifest of the newest checkpoint, whole or not; None when there is none."""
    return next(iter(manifests(directory)), None)


def newest(
    directory: pathlib.Path, like: PyTree, *, fingerprint: str, seed: int, known: Mapping[str, np.ndarray] | None = None
) -> Found | None:
    """The newest whole checkpoint in a directory; None when there are none at all. **Arguments** are those of `load`.

    **Raises** `InputError` when there are some, and none is whole.
    """
    passed: list[InputError] = []
    for path in manifests(directory):
        try:
            tree, manifest = load(path, like, fingerprint=fingerprint, seed=seed, known=known)
        except InputError as error:
            passed.append(error)
        else:
            return Found(tree, manifest, tuple(map(str, passed)))
    for error in passed:
        if isinstance(error, OtherConfiguration):
            raise error
    if passed:
        others = f" None of the {len(passed)} is whole." if len(passed) > 1 else ""
        raise InputError(f"{passed[0]}{others} Delete {directory} to start this seed anew.") from passed[0]
    return None


def load(
    path: pathlib.Path,
    like: PyTree,
    *,
    fingerprint: str,
    seed: int,
    known: Mapping[str, np.ndarray] | None = None,
) -> tuple[PyTree, Manifest]:
    """Read the checkpoint whose manifest is `path` into a tree shaped like `like`.

    **Arguments**

    - `fingerprint`, `seed`: what it must be of.
    - `known`: arrays, by name, that must be in it as they are here.

    **Raises** `InputError` when the manifest cannot be read, the arrays are missing, cut short or altered, the two do
    not belong together, or they come from another seed or configuration.
    """
    manifest = read_manifest(path)
    if manifest.fingerprint != fingerprint:
        raise OtherConfiguration(
            f"checkpoint {path}: made by another configuration ({manifest.fingerprint[:12]}, not {fingerprint[:12]}). "
            f"Use the run directory that it came from."
        )
    if (manifest.seed, manifest.update) != (seed, _number(path)):
        raise InputError(
            f"checkpoint {path}: its manifest says seed {manifest.seed}, update {manifest.update}; it lies where "
            f"seed {seed}, update {_number(path)} belongs."
        )
    arrays_path = path.with_suffix(".safetensors")
    content = _content(arrays_path, _most_bytes(like))
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise InputError(
            f"checkpoint {arrays_path}: its content does not match the SHA-256 in {path.name}: it is cut short or "
            f"altered."
        )
    try:
        arrays = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"checkpoint {arrays_path}: not a file of arrays ({shown(str(error))}).") from error
    tree = _unflatten(arrays, like, arrays_path)
    counted = {f".{name}": np.array(getattr(manifest, name)) for name in ("update", "steps")}
    for name, value in (counted | dict(known or {})).items():
        if name in arrays and not np.array_equal(arrays[name], value):
            raise InputError(f"checkpoint {arrays_path}: {name[1:]} inside is not what its manifest and place say.")
    return tree, manifest


def _content(path: pathlib.Path, most: int) -> bytes:
    try:
        return read_at_most(path, most)
    except InputError as error:
        raise InputError(f"checkpoint {str(error).removesuffix(' Restore it from a copy.')}") from error


def _most_bytes(like: PyTree) -> int:
    """What arrays like these take in a file, at most."""
    leaves = jax.tree.leaves(like)
    return _HEADER + sum(leaf.size * leaf.dtype.itemsize + _ENTRY for leaf in leaves)


def read_manifest(path: pathlib.Path) -> Manifest:
    """What a checkpoint says of itself. **Raises** `InputError` where it is damaged."""
    content = _content(path, _LONGEST)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"checkpoint {path}: its manifest is not valid JSON ({shown(str(error))}).") from error
    fields = {field.name: field.type for field in dataclasses.fields(Manifest)}
    if not isinstance(found, dict) or {name: type(value) for name, value in found.items()} != fields:
        raise InputError(f"checkpoint {path}: its manifest does not hold {', '.join(fields)} and nothing else.")
    return Manifest(**found)


def _is_key(leaf: PyTree) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _flatten(tree: PyTree) -> dict[str, np.ndarray]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    plain = {jax.tree_util.keystr(path): jax.random.key_data(leaf) if _is_key(leaf) else leaf for path, leaf in leaves}
    return {name: np.array(leaf, order="C") for name, leaf in jax.device_get(plain).items()}


def _unflatten(arrays: dict[str, np.ndarray], like: PyTree, source: pathlib.Path) -> PyTree:
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    restored = []
    for path, leaf in leaves:
        name = jax.tree_util.keystr(path)
        shape, dtype = leaf.shape, leaf.dtype
        if _is_key(leaf):
            data = jax.eval_shape(jax.random.key_data, leaf)
            shape, dtype = data.shape, data.dtype
        found = arrays.get(name)
        if found is None or found.shape != shape or found.dtype != dtype:
            says = "nothing" if found is None else f"{found.dtype}{list(found.shape)}"
            raise OtherConfiguration(
                f"checkpoint {source}: {name} is {says}; the configuration needs {dtype}{list(shape)}. "
                f"Use the version of steepest and of the environment that config.json records."
            )
        array = jnp.asarray(found)
        restored.append(jax.random.wrap_key_data(array) if _is_key(leaf) else array)
    return jax.tree_util.tree_unflatten(structure, restored)
