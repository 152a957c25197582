"""Demonstrations in files: safetensors or npz, arrays by name. Nothing that is loaded is executed."""

import hashlib
import io
import pathlib
import zipfile
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from steepest.core.demonstrations import Demonstrations
from steepest.core.errors import InputError
from steepest.core.files import write_atomically
from steepest.core.trees import from_named, named
from steepest.replay import available_memory

SUFFIXES = (".safetensors", ".npz")


def encode(demonstrations: Demonstrations, suffix: str = ".safetensors") -> bytes:
    """The content of a file that holds them: the arrays `obs`, `action` and, where it is known, `episode`.

    Of trees, the arrays have names such as `obs["load"][0]`; those with masks `obs.observation` and `obs.mask`.
    """
    arrays: dict[str, Any] = named(demonstrations.obs, "obs") | named(demonstrations.action, "action")
    if demonstrations.episode is not None:
        arrays["episode"] = demonstrations.episode
    arrays = {name: np.array(each, order="C") for name, each in arrays.items()}
    if suffix == ".npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()
    return safetensors.numpy.save(arrays)


def digest(content: bytes) -> str:
    """The SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def save(path: pathlib.Path, demonstrations: Demonstrations) -> None:
    """Write a file. **Raises** `InputError` for a suffix not among `SUFFIXES`, `StorageFault` where it cannot."""
    check_suffix(path)
    if not path.absolute().parent.is_dir():
        raise InputError(f"demonstrations {path}: there is no directory {path.parent}. Choose another place.")
    write_atomically(path, encode(demonstrations, path.suffix))


def load(path: pathlib.Path, *, sha256: str | None = None) -> Demonstrations:
    """Read a file.

    **Arguments**

    - `sha256`: what the digest of its content must be, where that is known.

    **Raises** `InputError` when it cannot be read, is another file, or lacks an array.
    """
    check_suffix(path)
    try:
        size, free = path.stat().st_size, available_memory()
        if free is not None and size > free:
            raise InputError(f"demonstrations {path}: it has {size} bytes, and {free} of memory are free. Give fewer.")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"demonstrations {path}: {error.strerror}. Give a file that exists.") from error
    if sha256 is not None and digest(content) != sha256:
        raise InputError(
            f"demonstrations {path}: the content does not match the SHA-256 in config.json: it is cut short or "
            f"altered. Restore it from a copy, or train anew."
        )
    try:
        if path.suffix == ".npz":
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        else:
            arrays = safetensors.numpy.load(content)
        obs, action = (from_named(arrays, each) for each in ("obs", "action"))
    except (
        TypeError,
        ValueError,
        KeyError,
        OSError,
        EOFError,
        MemoryError,
        zipfile.BadZipFile,
        safetensors.SafetensorError,
    ) as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"demonstrations {path}: not a file of arrays ({said}). Give another.") from error
    missing = [name for name, each in (("obs", obs), ("action", action)) if each is None]
    if missing:
        raise InputError(
            f"demonstrations {path}: no array {missing[0]!r}, only {sorted(arrays)}. It must hold 'obs' and 'action', "
            f"and may hold 'episode'."
        )
    return Demonstrations(obs, action, arrays.get("episode"))


def check_suffix(path: pathlib.Path) -> None:
    """**Raises** `InputError` for a path that does not say what kind of file it is."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"demonstrations {path}: the file must end in {' or '.join(SUFFIXES)}. Rename it.")
