"""The store's protocol, and what its implementations share. ``tests/contract`` runs one suite over all of them."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from farm.errors import StorageError
from farm.messages import Artefact

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_HINTS = {
    errno.ENOSPC: "free some space there, then run the same command again: finished chunks are kept",
    errno.EDQUOT: "your quota there is used up: free some space, then run the same command again",
    errno.EACCES: "make the folder writable, or choose another with FARM_STORE_DIR",
    errno.EROFS: "the file system is read-only: choose another folder with FARM_STORE_DIR",
}


@dataclass(frozen=True, slots=True)
class Extent:
    """A number of files, and their size in bytes."""

    files: int = 0
    size: int = 0

    def __add__(self, other: "Extent") -> "Extent":
        return Extent(self.files + other.files, self.size + other.size)


NOTHING = Extent()


@dataclass(frozen=True, slots=True)
class Group:
    """All artefacts whose keys begin with the same two parts. ``age``: seconds since the last one was written."""

    prefix: str
    extent: Extent
    age: float


class Storage(Protocol):
    """Immutable artefacts under keys (``a/b/c``, letters, digits and ``._-``).

    An artefact becomes visible whole or not at all. The first writer of a key wins: the content of a later one is
    dropped without an error, because equal keys name equal results. All methods raise StorageError for a bad key and
    when the store fails.
    """

    def put(self, key: str) -> AbstractContextManager[Path]:
        """A local path to write the artefact to; ``key`` becomes visible when the block ends without an error.

        The path has the key's suffix. After an error (disk full, no permission) nothing is left.
        """
        ...

    def fetch(self, key: str) -> AbstractContextManager[Path]:
        """A local path to read the artefact from, valid inside the block only. Raises StorageError if absent."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the key is visible."""
        ...

    def describe(self, key: str, frames: int) -> Artefact:
        """The artefact's size in bytes and SHA-256, computed from its content at each call; ``frames`` is copied.

        Raises StorageError if absent.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an artefact; a no-op where there is none."""
        ...

    def groups(self) -> Iterator[Group]:
        """Every group of artefacts, see :class:`Group`."""
        ...

    def discard(self, prefix: str) -> None:
        """Make all keys below ``prefix/`` invisible, in one step that takes no time; a no-op where there is none.

        :meth:`purge` frees their space. A writer that is at work on one of these keys does not notice.
        """
        ...

    def purge(self) -> Extent:
        """Free the space of all that was discarded, by whichever process. Returns how much that was."""
        ...

    def remove_unfinished(self, seconds: float = 60, *, here: bool = False, dry_run: bool = False) -> Extent:
        """Remove what killed writers left behind: unfinished artefacts not modified for ``seconds``.

        ``here``: all writers are processes of this host, so that what those which have ended left can go at once.
        Returns how much that was. ``dry_run``: only measure.
        """
        ...

    def claim(self, owner: str) -> int:
        """Record that the database ``owner`` names artefacts of this store; returns how many databases do."""
        ...


def check_key(key: str) -> str:
    """``key`` itself. Raises StorageError unless it is a valid key."""
    if not _KEY.fullmatch(key):
        raise StorageError(f"{key!r} cannot be a key in a store")
    return key


def absent(where: object) -> StorageError:
    """The error for an artefact that is not in the store. ``where``: its key or path."""
    return StorageError(f"{where} is not in the store", hint="retry the job: what is missing is made again")


def storage_error(e: OSError, where: Path, action: str = "write to") -> StorageError:
    """The StorageError for what the file system refused: the action, the path, and what to do."""
    hint = _HINTS.get(e.errno or 0, "check the disk that holds it")
    return StorageError(f"cannot {action} {where}: {os.strerror(e.errno or errno.EIO)}", hint=hint)
