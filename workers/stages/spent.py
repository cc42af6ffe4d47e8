"""Measures the CPU time of one order by part."""

import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import TypeVar

T = TypeVar("T")


class Spent:
    """CPU seconds of the calling threads by part. A part is used by one thread at a time.

    ``other`` is the rest of what the process used since this object was created: threads that a library starts
    itself, such as a GPU runtime's or a multi-threaded decoder's, are in no part.
    """

    def __init__(self) -> None:
        self._parts: dict[str, float] = {}
        self._process = time.process_time()

    @contextmanager
    def part(self, name: str) -> Generator[None, None, None]:
        """Add the CPU time of a block to ``name``. A part cannot be nested in itself."""
        begun = time.thread_time()
        try:
            yield
        finally:
            self._parts[name] = self._parts.get(name, 0.0) + time.thread_time() - begun

    def each(self, name: str, source: Generator[T, None, None]) -> Generator[T, None, None]:
        """The items of ``source``; the time to produce each is added to ``name``. Closing it closes ``source``."""
        with closing(source):
            while True:
                with self.part(name):
                    try:
                        item = next(source)
                    except StopIteration:
                        return
                yield item
                del item

    def seconds(self) -> dict[str, float]:
        """CPU seconds by part, to the millisecond."""
        other = max(0.0, time.process_time() - self._process - sum(self._parts.values()))
        return {name: round(value, 3) for name, value in (*self._parts.items(), ("other", other))}
