"""Measures the CPU time of one order by part."""

import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


class _Part(AbstractContextManager[None]):
    def __init__(self) -> None:
        self.seconds = 0.0
        self._begun = 0.0

    def __enter__(self) -> None:
        self._begun = time.thread_time()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds += time.thread_time() - self._begun


class Spent:
    """CPU seconds of the calling threads by part. A part is used by one thread at a time.

    ``other`` is the rest of what the process used since this object was created: threads that a library starts
    itself, such as a GPU runtime's or a multi-threaded decoder's, are in no part.
    """

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}
        self._process = time.process_time()

    def part(self, name: str) -> AbstractContextManager[None]:
        """Add the CPU time of a block to ``name``. A part cannot be nested in itself."""
        return self._parts.setdefault(name, _Part())

    def each(self, name: str, source: Iterator[T]) -> Generator[T, None, None]:
        """The items of ``source``; the time to produce each is added to ``name``. Closing it closes ``source``."""
        part = self.part(name)
        try:
            while True:
                with part:
                    try:
                        item = next(source)
                    except StopIteration:
                        return
                yield item
                del item
        finally:
            if isinstance(source, Generator):
                source.close()

    def seconds(self) -> dict[str, float]:
        """CPU seconds by part, to the millisecond."""
        rows = {name: part.seconds for name, part in self._parts.items()}
        rows["other"] = max(0.0, time.process_time() - self._process - sum(rows.values()))
        return {name: round(value, 3) for name, value in rows.items()}
