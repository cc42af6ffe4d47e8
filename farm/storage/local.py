"""A store in a folder: on one machine, or on a file system that all machines mount."""

import contextlib
import glob
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from farm.digests import file_digest
from farm.errors import DamagedArtefact, StorageError
from farm.storage.base import NOTHING, Draft, Extent, Group, check_key, check_name, is_content, storage_error

_TEMPORARY = ".writing-"
_DISCARDED = ".discarded-"
_DAMAGED = ".damaged-"
_OWNERS = ".owners"
_LINK_TRIES = 100


class LocalStorage:
    """:class:`farm.storage.base.Storage` over a folder; a key is created by hard-linking a finished temporary file.

    ``.owners`` in the folder lists the databases that use it, one a line. Only the user can read what is in a store. If
    several users share one, its folder belongs to a group that may write to it (``chmod 2770``): then that group can.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    @property
    def _mode(self) -> int:
        """The permissions of a file: see the class."""
        return 0o660 if self.root.stat().st_mode & stat.S_IWGRP else 0o600

    def _make(self, folder: Path) -> None:
        """Create the store's folder, or one in it."""
        if folder.is_dir():
            return
        if folder != self.root:
            self._make(folder.parent)
        folder.mkdir(mode=0o700, parents=folder == self.root, exist_ok=True)
        if self._mode & stat.S_IWGRP:
            folder.chmod(folder.stat().st_mode | stat.S_IRWXG)

    @contextmanager
    def put(self, name: str) -> Iterator[Draft]:
        """See :meth:`farm.storage.base.Storage.put`."""
        final = self._path(check_name(name))
        # not in the key's own folder, which may be discarded meanwhile; muxers are chosen by the suffix, so it stays
        folder = self.root / name.partition("/")[0] if "/" in name else self.root
        temporary = folder / f"{_temporary(os.getpid())}{secrets.token_hex(6)}-{final.name}"
        try:
            self._make(folder)
            draft = Draft(temporary)
            yield draft
            temporary.chmod(self._mode)
            with temporary.open("rb") as f:
                os.fsync(f.fileno())
            draft.finish(name, temporary.stat().st_size, file_digest(temporary))
            draft.damaged = self._settle(temporary, draft.key)
        except OSError as e:
            raise storage_error(e, final) from e
        finally:
            with contextlib.suppress(OSError):  # the error above says more
                temporary.unlink()

    def _settle(self, temporary: Path, key: str) -> bool:
        """Make a finished file visible; whether something else was under its key."""
        damaged = False
        while not self._link(temporary, self._path(key)):
            if self.set_aside(key):
                damaged = True
            elif self.exists(key):
                break  # the same content
        return damaged

    def _link(self, temporary: Path, final: Path) -> bool:
        """Give a finished file its name; False if the name is taken."""
        for attempt in range(_LINK_TRIES):
            try:
                self._make(final.parent)
                os.link(temporary, final)
            except FileExistsError:
                return False
            except FileNotFoundError:  # the folder was discarded between the two calls
                if attempt == _LINK_TRIES - 1 or not temporary.exists():
                    raise
            else:
                return True
        return False

    @contextmanager
    def fetch(self, key: str) -> Iterator[Path]:
        """See :meth:`farm.storage.base.Storage.fetch`."""
        path = self._path(key)
        if not path.is_file():
            raise DamagedArtefact(key, "is not there")
        yield path

    def exists(self, key: str) -> bool:
        """See :meth:`farm.storage.base.Storage.exists`."""
        return self._path(key).is_file()

    def set_aside(self, key: str) -> bool:
        """See :meth:`farm.storage.base.Storage.set_aside`. The file is renamed."""
        path = self._path(key)
        try:
            if not os.path.lexists(path) or (path.is_file() and is_content(path, key)):
                return False
            path.rename(path.with_name(f"{_DAMAGED}{secrets.token_hex(6)}"))
        except FileNotFoundError:
            return False
        except OSError as e:
            raise storage_error(e, path, "rename") from e
        return True

    def delete(self, key: str) -> None:
        """See :meth:`farm.storage.base.Storage.delete`."""
        path = self._path(key)
        try:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
        except OSError as e:
            raise storage_error(e, path, "delete") from e

    def groups(self) -> Iterator[Group]:
        """See :meth:`farm.storage.base.Storage.groups`."""
        now = self._now()
        for above in _folders(self.root):
            for path in _folders(above):
                extent, modified = _measured(path)
                yield Group(f"{above.name}/{path.name}", extent, now - modified)

    def _now(self) -> float:
        """The time by the file system's clock, which on a shared one is not this machine's."""
        if not self.root.is_dir():
            return time.time()
        try:
            with tempfile.TemporaryFile(dir=self.root) as file:
                return os.fstat(file.fileno()).st_mtime
        except OSError as e:
            raise storage_error(e, self.root) from e

    def discard(self, prefix: str) -> None:
        """See :meth:`farm.storage.base.Storage.discard`. The folder is renamed."""
        path = self._path(prefix)
        if path.is_symlink() or path.parent.is_symlink():
            raise StorageError(f"{path} is behind a symbolic link", hint="only FARM_STORE_DIR may be one")
        if not path.is_dir():
            return
        try:
            with contextlib.suppress(FileNotFoundError):
                path.rename(path.with_name(f"{_DISCARDED}{secrets.token_hex(6)}"))
        except OSError as e:
            raise storage_error(e, path, "delete") from e

    def purge(self) -> Extent:
        """See :meth:`farm.storage.base.Storage.purge`."""
        freed = NOTHING
        for above in _folders(self.root):
            for path in _folders(above, _DISCARDED):
                freed += _measured(path)[0]
                try:
                    with contextlib.suppress(FileNotFoundError):  # another process purges, too
                        shutil.rmtree(path)
                except OSError as e:
                    raise storage_error(e, path, "delete") from e
        return freed

    def remove_unfinished(self, seconds: float = 60, *, here: bool = False, dry_run: bool = False) -> Extent:
        """See :meth:`farm.storage.base.Storage.remove_unfinished`."""
        freed, before = NOTHING, self._now() - seconds  # a submitter may be writing its plan now
        for folder in (self.root, *_folders(self.root)):
            for path in folder.glob(f"*{_TEMPORARY}*"):
                with contextlib.suppress(OSError):  # its writer has just ended, or it is not a file
                    found = path.lstat()
                    if found.st_mtime < before or (here and _abandoned(path.name)):
                        if not dry_run:
                            path.unlink()
                        freed += Extent(1, found.st_size)
        return freed

    def remove_unfinished_of(self, pid: int) -> None:
        """See :meth:`farm.storage.base.Storage.remove_unfinished_of`."""
        for folder in (self.root, *_folders(self.root)):
            for path in folder.glob(f"*{glob.escape(_temporary(pid))}*"):
                with contextlib.suppress(OSError):
                    path.unlink()

    def claim(self, owner: str) -> int:
        """See :meth:`farm.storage.base.Storage.claim`."""
        path = self.root / _OWNERS
        try:
            self._make(self.root)
            with path.open("a+") as file:
                if not file.tell():  # else it may be another user's
                    path.chmod(self._mode)
                file.seek(0)
                if owner not in file.read().split():
                    file.write(f"{owner}\n")
            return len(set(path.read_text().split()))
        except OSError as e:
            raise storage_error(e, path) from e


def _temporary(pid: int) -> str:
    """How the names of files begin that a process of this host is writing."""
    return f"{_TEMPORARY}{socket.gethostname()}-{pid}-"


def _abandoned(name: str) -> bool:
    """Whether the process of this host that was writing a file has ended."""
    writer = re.search(rf"{re.escape(_TEMPORARY + socket.gethostname())}-(\d+)-", name)
    return writer is not None and not psutil.pid_exists(int(writer[1]))


def _folders(path: Path, prefix: str = "") -> Iterator[Path]:
    """The folders in a folder, without links: those whose names begin with ``prefix``, else all that are not hidden."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as entries:
        for entry in entries:
            named = entry.name.startswith(prefix) if prefix else not entry.name.startswith(".")
            if named and entry.is_dir(follow_symlinks=False):
                yield path / entry.name


def _measured(folder: Path) -> tuple[Extent, float]:
    """What a folder holds, and when something in it was last written, deleted or renamed."""
    extent, modified = NOTHING, 0.0
    for name, _, files in os.walk(folder):
        modified = max(modified, _modified(name))
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                found = Path(name, file).lstat()
                extent, modified = extent + Extent(1, found.st_size), max(modified, found.st_mtime)
    return extent, modified


def _modified(path: str) -> float:
    try:
        return Path(path).lstat().st_mtime
    except FileNotFoundError:
        return 0.0
