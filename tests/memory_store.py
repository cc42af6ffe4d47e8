"""A store in memory. It shows that nothing but :mod:`farm.storage.local` takes artefacts for files."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from farm.domain.artefacts import digest_in
from farm.errors import DamagedArtefact
from farm.storage.base import Draft, Extent, Group, Storage, check_key, check_name, storage_error
from farm.storage.local import LocalStorage


class MemoryStorage:
    """:class:`farm.storage.base.Storage` over a dictionary; the paths that it hands out are temporary copies.

    ``content``: the bytes under each key. ``scratch``: an existing folder for the copies.
    """

    def __init__(self, scratch: Path) -> None:
        self.content: dict[str, bytes] = {}
        self._scratch = scratch
        self._discarded: list[bytes] = []
        self._owners: set[str] = set()

    @contextmanager
    def put(self, name: str) -> Iterator[Draft]:
        """See :meth:`farm.storage.base.Storage.put`."""
        with self._folder(check_name(name)) as path:
            try:
                draft = Draft(path)
                yield draft
                content = path.read_bytes()
            except OSError as e:
                raise storage_error(e, path) from e
        draft.finish(name, len(content), hashlib.sha256(content).hexdigest())
        draft.damaged = self.set_aside(draft.key)
        self.content[draft.key] = content

    @contextmanager
    def fetch(self, key: str) -> Iterator[Path]:
        """See :meth:`farm.storage.base.Storage.fetch`."""
        with self._folder(key) as path:
            path.write_bytes(self._get(key))
            yield path

    @contextmanager
    def _folder(self, key: str) -> Iterator[Path]:
        with TemporaryDirectory(dir=self._scratch) as folder:
            yield Path(folder, check_key(key).rpartition("/")[2])

    def _get(self, key: str) -> bytes:
        if not self.exists(key):
            raise DamagedArtefact(key, "is not there")
        return self.content[key]

    def exists(self, key: str) -> bool:
        """See :meth:`farm.storage.base.Storage.exists`."""
        return check_key(key) in self.content

    def set_aside(self, key: str) -> bool:
        """See :meth:`farm.storage.base.Storage.set_aside`."""
        if not self.exists(key) or hashlib.sha256(self.content[key]).hexdigest() == digest_in(key):
            return False
        self._discarded.append(self.content.pop(key))
        return True

    def delete(self, key: str) -> None:
        """See :meth:`farm.storage.base.Storage.delete`."""
        self.content.pop(check_key(key), None)

    def groups(self) -> Iterator[Group]:
        """See :meth:`farm.storage.base.Storage.groups`."""
        for prefix in sorted({"/".join(key.split("/")[:2]) for key in self.content if key.count("/") > 1}):
            sizes = [len(self.content[key]) for key in keys_below(self, prefix)]
            yield Group(prefix, Extent(len(sizes), sum(sizes)), 0.0)

    def discard(self, prefix: str) -> None:
        """See :meth:`farm.storage.base.Storage.discard`."""
        self._discarded += [self.content.pop(key) for key in keys_below(self, prefix)]

    def purge(self) -> Extent:
        """See :meth:`farm.storage.base.Storage.purge`."""
        freed, self._discarded = self._discarded, []
        return Extent(len(freed), sum(map(len, freed)))

    def remove_unfinished(self, seconds: float = 60, *, here: bool = False, dry_run: bool = False) -> Extent:
        """A no-op: a killed process takes its store with it."""
        return Extent()

    def remove_unfinished_of(self, pid: int) -> None:
        """See :meth:`remove_unfinished`."""

    def claim(self, owner: str) -> int:
        """See :meth:`farm.storage.base.Storage.claim`."""
        self._owners.add(owner)
        return len(self._owners)


def keys_below(store: Storage, prefix: str) -> list[str]:
    """All visible keys below ``prefix/`` in a store of these two kinds, sorted."""
    if isinstance(store, LocalStorage):
        found = [path.relative_to(store.root).as_posix() for path in store.root.rglob("*") if path.is_file()]
    else:
        assert isinstance(store, MemoryStorage)
        found = list(store.content)
    return sorted(key for key in found if key.startswith(f"{prefix}/") and "/." not in f"/{key}")
