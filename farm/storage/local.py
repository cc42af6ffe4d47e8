"""A store in a folder: on one machine, or on a file system that all machines mount."""

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farm.digests import file_digest
from farm.errors import StorageError
from farm.messages import Artefact

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_TEMPORARY = ".writing-"
_HINTS = {
    errno.ENOSPC: "free some space there, then run the same command again: finished chunks are kept",
    errno.EDQUOT: "your quota there is used up: free some space, then run the same command again",
    errno.EACCES: "make the folder writable, or choose another with FARM_STORE_DIR",
    errno.EROFS: "the file system is read-only: choose another folder with FARM_STORE_DIR",
}


def storage_error(e: OSError, where: Path) -> StorageError:
    """The error for a person: what the file system refused, where, and what to do."""
    hint = _HINTS.get(e.errno or 0, "check the disk that holds it")
    return StorageError(f"cannot write to {where}: {os.strerror(e.errno or errno.EIO)}", hint=hint)


class LocalStorage:
    """:class:`farm.storage.base.Storage` over a folder; creation is a hard link of a finished temporary file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise StorageError(f"{key!r} cannot be a key in a store")
        return self.root / key

    @contextmanager
    def create(self, key: str) -> Iterator[Path]:
        """See :meth:`farm.storage.base.Storage.create`."""
        final = self._path(key)
        # the suffix stays: muxers are chosen by it
        temporary = final.with_name(f"{_TEMPORARY}{secrets.token_hex(6)}-{final.name}")
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb") as f:
                os.fsync(f.fileno())
            try:
                os.link(temporary, final)
            except FileExistsError:
                pass  # another attempt was first; what it wrote stands
        except OSError as e:
            raise storage_error(e, final) from e
        finally:
            with contextlib.suppress(OSError):  # the error above says more
                temporary.unlink()

    @contextmanager
    def read(self, key: str) -> Iterator[Path]:
        """See :meth:`farm.storage.base.Storage.read`."""
        path = self._path(key)
        if not path.is_file():
            raise StorageError(f"{path} is not in the store", hint="retry the job: what is missing is made again")
        yield path

    def exists(self, key: str) -> bool:
        """See :meth:`farm.storage.base.Storage.exists`."""
        return self._path(key).is_file()

    def describe(self, key: str, frames: int) -> Artefact:
        """See :meth:`farm.storage.base.Storage.describe`."""
        with self.read(key) as path:
            return Artefact(key=key, size=path.stat().st_size, sha256=file_digest(path), frames=frames)

    def delete(self, prefix: str) -> None:
        """See :meth:`farm.storage.base.Storage.delete`."""
        path = self._path(prefix)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()

    def keys(self, prefix: str) -> Iterator[str]:
        """See :meth:`farm.storage.base.Storage.keys`."""
        for path in sorted(self._path(prefix).rglob("*")):
            if path.is_file() and not path.name.startswith(_TEMPORARY):
                yield path.relative_to(self.root).as_posix()

    def remove_unfinished(self) -> None:
        """Delete what killed writers left. Only while nobody writes."""
        for path in self.root.rglob(f"{_TEMPORARY}*"):
            path.unlink(missing_ok=True)

    def local_path(self, key: str) -> Path:
        """Where a key lies, for the one rename that publishes an output."""
        return self._path(key)
