"""Trees of arrays on disk: safetensors beside a manifest with their digest. Nothing that is loaded is executed."""

import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from steepest.core.errors import InputError
from steepest.core.types import PyTree

_KEPT = 2


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


def save(
    directory: pathlib.Path, tree: PyTree, *, seed: int, update: int, steps: int, fingerprint: str
) -> pathlib.Path:
    """Write a checkpoint under a temporary name, then rename it: a crash leaves the one before it whole.

    **Returns** its manifest, which is renamed last: a checkpoint with a manifest is complete. The newest two are kept.
    """
    directory.mkdir(parents=True, exist_ok=True)
    stem = directory / f"{update:09d}"
    content = safetensors.numpy.save(_flatten(tree))
    digest = hashlib.sha256(content).hexdigest()
    manifest = Manifest(seed, update, steps, fingerprint, digest)
    write_atomically(stem.with_suffix(".safetensors"), content)
    write_atomically(stem.with_suffix(".json"), json.dumps(dataclasses.asdict(manifest), indent=2).encode())
    for old in sorted(directory.glob("*.json"))[:-_KEPT]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)
    return stem.with_suffix(".json")


def write_atomically(path: pathlib.Path, content: bytes) -> None:
    """Write a file so that its name never holds half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def latest(directory: pathlib.Path) -> pathlib.Path | None:
    """The manifest of the newest checkpoint; None when there is none."""
    return max(directory.glob("*.json"), default=None)


def load(path: pathlib.Path, like: PyTree, *, fingerprint: str) -> tuple[PyTree, Manifest]:
    """Read the checkpoint whose manifest is `path` into a tree shaped like `like`.

    **Raises** `InputError` when the manifest cannot be read, the arrays are missing, cut short or altered, or come
    from another configuration.
    """
    manifest = _manifest(path)
    if manifest.fingerprint != fingerprint:
        raise InputError(
            f"checkpoint {path}: made by another configuration ({manifest.fingerprint[:12]}, not {fingerprint[:12]}). "
            f"Use the run directory that it came from."
        )
    arrays_path = path.with_suffix(".safetensors")
    try:
        content = arrays_path.read_bytes()
    except OSError as error:
        raise InputError(f"checkpoint {arrays_path}: {error.strerror}. {_remedy(path)}") from error
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise InputError(
            f"checkpoint {arrays_path}: its content does not match the SHA-256 in {path.name}: it is cut short or "
            f"altered. {_remedy(path)}"
        )
    try:
        arrays = safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise InputError(f"checkpoint {arrays_path}: {error}. {_remedy(path)}") from error
    return _unflatten(arrays, like, arrays_path), manifest


def _manifest(path: pathlib.Path) -> Manifest:
    try:
        return Manifest(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"checkpoint {path}: the manifest cannot be read ({error}). {_remedy(path)}") from error


def _remedy(path: pathlib.Path) -> str:
    others = [each for each in sorted(path.parent.glob("*.json")) if each != path]
    if others:
        return f"Delete {path.stem}.* to go back to the one before it, {others[-1].stem}."
    return "Delete it to start this seed anew."


def _is_key(leaf: Any) -> bool:
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
            raise InputError(
                f"checkpoint {source}: {name} is {says}; the configuration needs {dtype}{list(shape)}. "
                f"Use the version of steepest and of the environment that config.json records."
            )
        array = jnp.asarray(found)
        restored.append(jax.random.wrap_key_data(array) if _is_key(leaf) else array)
    return jax.tree_util.tree_unflatten(structure, restored)
