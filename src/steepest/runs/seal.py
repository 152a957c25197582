"""A digest beside a file that grows, which tells whether what was written of it has changed since."""

import hashlib
import pathlib

from steepest.core.errors import InputError
from steepest.core.files import read_at_most, write_atomically, writing

_LONGEST = 200
"""Bytes of a seal."""
_CHUNK = 2**20


class Seal:
    """The SHA-256 of the first bytes of a file to which rows are added, in a file of its own beside it.

    What is added later does not break the seal. Whoever writes the file anew removes the seal first: then a process
    that is killed in between leaves a file without one, and not one with a wrong one.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._begin()

    @property
    def path(self) -> pathlib.Path:
        """Where it lies."""
        return self._path.with_name(f"{self._path.name}.sha256")

    def _begin(self) -> None:
        self._digest, self._size = hashlib.sha256(), 0

    def write(self) -> None:
        """Seal the file as it is now; only what was added since the last time is read.

        **Raises** `StorageFault` where it cannot be written.
        """
        if not self.path.exists():
            self._begin()
        with writing(self._path), self._path.open("rb") as file:
            file.seek(self._size)
            while chunk := file.read(_CHUNK):
                self._digest.update(chunk)
                self._size += len(chunk)
        write_atomically(self.path, f"{self._digest.hexdigest()} {self._size}\n".encode())

    def remove(self) -> None:
        """The file is going to be written anew."""
        with writing(self.path):
            self.path.unlink(missing_ok=True)

    def broken(self) -> bool:
        """Whether the file is not what was sealed; a file without a seal is not."""
        if not self.path.exists():
            return False
        try:
            told, size = read_at_most(self.path, _LONGEST).decode().split()
            left = int(size)
        except (InputError, ValueError):
            return True
        digest = hashlib.sha256()
        with self._path.open("rb") as file:
            while left > 0 and (chunk := file.read(min(left, _CHUNK))):
                digest.update(chunk)
                left -= len(chunk)
        return left != 0 or digest.hexdigest() != told
