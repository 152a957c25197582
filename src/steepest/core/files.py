"""Files that are whole or not there: reading within a size, and writing under a temporary name."""

from __future__ import annotations

import contextlib
import glob
import io
import json
import os
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from steepest.core.errors import InputError, StorageFault
from steepest.core.validation import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JsonObject = dict[str, Any]
"""Names and values, as JSON has them."""
_TEMPORARY = ".*.tmp"
"""The names of files that are being written; one that stays was left by a process that was killed."""


def read_at_most(path: pathlib.Path, most: int) -> bytes:
    """The content of a file. **Raises** `InputError` where it cannot be read, or is longer than such a file can be."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= most:
                return file.read(most)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}. Restore it from a copy.") from error
    raise InputError(f"{path}: it has {size} bytes, and at most {most} are possible. Restore it from a copy.")


def read_object(path: pathlib.Path, most: int = 2**24) -> JsonObject:
    """An object in a file of JSON. **Raises** `InputError` where it cannot be read, or is something else."""
    try:
        found = json.loads(read_at_most(path, most))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({shown(str(error))}). Restore it from a copy.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: it must be an object. Restore it from a copy.")
    return found


def write_atomically(path: pathlib.Path, content: bytes) -> None:
    """Write a file so that its name never holds half of it. **Raises** `StorageFault` where it cannot be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            temporary.unlink(missing_ok=True)
            with temporary.open("xb", buffering=0) as file:  # never through a link
                write_all(file.fileno(), content)
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def written_aside(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A place to write a file at piece by piece; it gets the name `path` when it is whole, and goes when it is not.

    **Raises** `StorageFault` where its directory cannot be made, or it cannot be renamed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
            if left == temporary or not _runs(left.suffixes[-2][1:]):
                left.unlink(missing_ok=True)
    try:
        yield temporary
        with writing(path):
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _runs(number: str) -> bool:
    """Whether a process of this number runs, as far as one can tell."""
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError, ValueError):  # somebody else's, or no number at all
        return True
    return True


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of it; one call of the operating system may write a part."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextlib.contextmanager
def writing(path: pathlib.Path) -> Iterator[None]:
    """Turn what the operating system says against writing to `path` into a `StorageFault`."""
    try:
        yield
    except OSError as error:
        raise StorageFault(
            f"{path}: it cannot be written ({error.strerror or error}). Make room, or make the place writable; what "
            f"was saved before is whole."
        ) from error


def write_figure(figure: Figure, path: pathlib.Path) -> None:
    """Write a picture so that its name never holds half of it; the suffix decides the format.

    **Raises** `InputError` for a format that is unknown, `StorageFault` where it cannot be written.
    """
    picture = io.BytesIO()
    try:
        figure.savefig(picture, dpi=150, format=path.suffix[1:] or "none")
    except ValueError as error:
        raise InputError(f"picture {path}: {error}. Give a path that ends in .png, .pdf or .svg.") from error
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, picture.getvalue())


def remove_leftovers(directory: pathlib.Path) -> None:
    """Remove what processes that were killed left half-written in a directory that no other process writes to."""
    with writing(directory):
        for left in directory.glob(_TEMPORARY):
            left.unlink(missing_ok=True)
