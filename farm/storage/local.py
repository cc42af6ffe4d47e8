"""A store in a folder: on one machine, or on a file system that all machines mount."""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farm.digests import file_digest
from farm.messages import Artefact
from farm.storage.base import absent, check_key, storage_error

_TEMPORARY = ".writing-"
_ABANDONED_SECONDS = 60


class LocalStorage:
    """:class:`farm.storage.base.Storage` over a folder; a key is created by hard-linking a finished temporary file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    @contextmanager
    def put(self, key: str) -> Iterator[Path]:
        """See :meth:`farm.storage.base.Storage.put`."""
        final = self._path(key)
        # muxers are chosen by the suffix, so the temporary name keeps it
        temporary = final.with_name(f"{_TEMPORARY}{secrets.token_hex(6)}-{final.name}")
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb") as f:
                os.fsync(f.fileno())
            with contextlib.suppress(FileExistsError):  # another attempt was first; its content stays
                os.link(temporary, final)
        except OSError as e:
            raise storage_error(e, final) from e
        finally:
            with contextlib.suppress(OSError):  # the error above says more
                temporary.unlink()

    @contextmanager
    def fetch(self, key: str) -> Iterator[Path]:
        """See :meth:`farm.storage.base.Storage.fetch`."""
        path = self._path(key)
        if not path.is_file():
            raise absent(path)
        yield path

    def exists(self, key: str) -> bool:
        """See :meth:`farm.storage.base.Storage.exists`."""
        return self._path(key).is_file()

    def describe(self, key: str, frames: int) -> Artefact:
        """See :meth:`farm.storage.base.Storage.describe`."""
        with self.fetch(key) as path:
            try:
                return Artefact(key=key, size=path.stat().st_size, sha256=file_digest(path), frames=frames)
            except OSError as e:
                raise storage_error(e, path, "read") from e

    def delete(self, prefix: str) -> None:
        """See :meth:`farm.storage.base.Storage.delete`."""
        path = self._path(prefix)
        try:
            while path.is_dir():
                with contextlib.suppress(FileNotFoundError):  # deleted by another process at the same time: look again
                    shutil.rmtree(path)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
        except OSError as e:
            raise storage_error(e, path, "delete") from e

    def keys(self, prefix: str) -> Iterator[str]:
        """See :meth:`farm.storage.base.Storage.keys`."""
        for path in sorted(self._path(prefix).rglob("*")):
            if path.is_file() and not path.name.startswith(_TEMPORARY):
                yield path.relative_to(self.root).as_posix()

    def remove_unfinished(self) -> None:
        """See :meth:`farm.storage.base.Storage.remove_unfinished`."""
        before = time.time() - _ABANDONED_SECONDS  # a submitter may be writing its plan now
        for path in self.root.rglob(f"{_TEMPORARY}*"):
            with contextlib.suppress(FileNotFoundError):  # its writer has just ended
                if path.stat().st_mtime < before:
                    path.unlink()
