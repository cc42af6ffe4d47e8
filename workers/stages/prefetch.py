"""Overlaps two steps: an iterator runs in its own thread and fills a bounded queue."""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

AHEAD = 4  # frames by which a step of a stage may be ahead of the next one
T = TypeVar("T")


class _Channel(Generic[T]):
    """A bounded queue between one producer and one consumer thread; either can close it."""

    def __init__(self, size: int) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._changed = threading.Condition()
        self._ended = False
        self._abandoned = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Wait for room and add ``item``; False if the consumer abandoned the queue."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._size or self._abandoned)
            if self._abandoned:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def end(self, error: BaseException | None) -> None:
        """Mark the end of the items; ``error`` is raised in the consumer after the last one."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def abandon(self) -> None:
        """Tell the producer to stop; called by the consumer."""
        with self._changed:
            self._abandoned = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._items) or self._ended)
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
            del item  # a decoded frame is large: keep no reference while waiting for the next


def _produce(source: Iterator[T], channel: _Channel[T]) -> None:
    error: BaseException | None = None
    try:
        for item in source:
            if not channel.put(item):
                break
            del item
    except BaseException as caught:  # noqa: BLE001 - raised again in the consuming thread
        error = caught
    finally:
        try:
            if isinstance(source, Generator):
                source.close()
        finally:
            channel.end(error)


def prefetch(source: Iterator[T], size: int, name: str = "prefetch") -> Generator[T, None, None]:
    """The items of ``source`` in order; ``source`` runs in its own thread, at most ``size`` items ahead.

    An error of ``source`` is raised here, after the items before it. Closing this generator (or leaving its loop and
    dropping it) stops the thread, closes ``source`` in it, and joins it: no thread is left running.
    """
    channel: _Channel[T] = _Channel(size)
    thread = threading.Thread(target=_produce, args=(source, channel), name=name, daemon=True)
    thread.start()
    try:
        yield from channel
    finally:
        channel.abandon()
        thread.join()
