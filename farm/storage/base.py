"""The store's protocol, and what its implementations share. ``tests/contract`` runs one suite over all of them."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from farm.digests import file_digest
from farm.domain.artefacts import digest_in, key_of
from farm.errors import DamagedArtefact, StorageError
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


@dataclass(slots=True)
class Draft:
    """An artefact while it is written. ``path``: the local file to write; the rest is known when the block has ended.

    ``verified``: the SHA-256 of what the writer has verified; the content must not have changed since. ``damaged``: the
    store held something else under the key, which was set aside.
    """

    path: Path
    verified: str = ""
    key: str = ""
    size: int = 0
    sha256: str = ""
    damaged: bool = False

    def finish(self, name: str, size: int, sha256: str) -> None:
        """Fill in what the store found. Raises StorageError if the content changed after it was verified."""
        if self.verified and self.verified != sha256:
            raise StorageError(f"{name} changed after it was verified", hint="check the disk of the store")
        self.key, self.size, self.sha256 = key_of(name, sha256), size, sha256

    def artefact(self, frames: int, *, covered: int | None = None) -> Artefact:
        """What was written."""
        return Artefact(key=self.key, size=self.size, sha256=self.sha256, frames=frames, covered=covered)


@dataclass(frozen=True, slots=True)
class Group:
    """All artefacts whose keys begin with the same two parts. ``age``: seconds since the last one was written."""

    prefix: str
    extent: Extent
    age: float


class Storage(Protocol):
    """Immutable artefacts under keys (``a/b/c``, letters, digits and ``._-``) that contain their content's SHA-256.

    An artefact becomes visible whole or not at all, and is never overwritten. All methods raise StorageError for a bad
    name or key and when the store fails. That a key is there proves nothing: see :func:`opened`.
    """

    def put(self, name: str) -> AbstractContextManager[Draft]:
        """An artefact of this name to write. It becomes visible under its key when the block ends without an error.

        The path has the name's suffix. After an error (disk full, no permission) nothing is left. If the store holds
        the key already, with other content, that is set aside first.
        """
        ...

    def fetch(self, key: str) -> AbstractContextManager[Path]:
        """A local path to read what is there, unchecked, inside the block only. Raises DamagedArtefact if absent."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the key is visible."""
        ...

    def set_aside(self, key: str) -> bool:
        """Make what is under ``key`` invisible, unless it is what the key says; whether that was done.

        It is deleted with its group.
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

    def remove_unfinished_of(self, pid: int) -> None:
        """Remove what the process ``pid`` of this host, which has ended, was writing."""
        ...

    def claim(self, owner: str) -> int:
        """Record that the database ``owner`` names artefacts of this store; returns how many databases do."""
        ...


def check_key(key: str) -> str:
    """``key`` itself. Raises StorageError unless it is a valid key."""
    if not _KEY.fullmatch(key):
        raise StorageError(f"{key!r} cannot be a key in a store")
    return key


def check_name(name: str) -> str:
    """``name`` itself. Raises StorageError unless it is a valid key with a suffix."""
    if "." not in check_key(name).rpartition("/")[2]:
        raise StorageError(f"{name!r} has no suffix: it cannot be a key in a store")
    return name


@contextmanager
def opened(store: Storage, key: str) -> Iterator[Path]:
    """As :meth:`Storage.fetch`, checked first. Raises DamagedArtefact unless the content is what the key says."""
    with store.fetch(key) as path:
        if not is_content(path, key):
            raise DamagedArtefact(key)
        yield path


def check_content(store: Storage, key: str) -> None:
    """Raise DamagedArtefact unless the store holds what the key says; reads all of it."""
    with opened(store, key):
        pass


def is_whole(store: Storage, key: str) -> bool:
    """Whether the store holds what the key says; reads all of it. Raises StorageError when the store fails."""
    try:
        check_content(store, key)
    except DamagedArtefact:
        return False
    return True


def is_content(path: Path, key: str) -> bool:
    """Whether a file holds what the key says. Raises StorageError where it cannot be read."""
    try:
        return file_digest(path) == digest_in(key)
    except OSError as e:
        raise storage_error(e, path, "read") from e


def storage_error(e: OSError, where: Path, action: str = "write to") -> StorageError:
    """The StorageError for what the file system refused: the action, the path, and what to do."""
    hint = _HINTS.get(e.errno or 0, "check the disk that holds it")
    return StorageError(f"cannot {action} {where}: {os.strerror(e.errno or errno.EIO)}", hint=hint)
