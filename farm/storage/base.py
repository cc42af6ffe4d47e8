"""The contract of a store, above its implementations. ``tests/contract`` runs one suite over all of them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from farm.messages import Artefact


class Storage(Protocol):
    """Immutable artefacts under keys (``a/b/c``, letters, digits and ``._-``).

    An artefact becomes visible whole or not at all, and the first to create a key wins: a second writer's content is
    dropped without an error, because equal keys name equal results.
    """

    def create(self, key: str) -> AbstractContextManager[Path]:
        """A path to write the artefact to; it becomes visible under ``key`` when the block ends without an error.

        Raises StorageError when it cannot be written (disk full, no permission); nothing is left then.
        """
        ...

    def read(self, key: str) -> AbstractContextManager[Path]:
        """A local path to read the artefact from, for the length of the block. Raises StorageError if absent."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the key is visible."""
        ...

    def describe(self, key: str, frames: int) -> Artefact:
        """The artefact's size and SHA-256, read anew. Raises StorageError if absent."""
        ...

    def delete(self, prefix: str) -> None:
        """Remove a key, or all keys below ``prefix/``. What is not there is no error."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """All visible keys below ``prefix/``, sorted."""
        ...
