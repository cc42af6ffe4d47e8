"""Overlaps two steps: an iterator runs in its own thread and fills a bounded queue."""

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Event, Thread
from typing import TypeVar

AHEAD = 4  # frames by which a step of a stage may be ahead of the next one
T = TypeVar("T")


@dataclass(slots=True)
class _End:
    """Follows the last item. ``error``: what ended the source before its end."""

    error: BaseException | None = None


def _produce(source: Iterator[T], items: "Queue[T | _End]", abandoned: Event) -> None:
    end = _End()
    try:
        for item in source:
            items.put(item)
            del item  # a decoded frame is large: keep no reference while the next one is made
            if abandoned.is_set():
                break
    except BaseException as error:  # noqa: BLE001 - raised again in the consuming thread
        end.error = error
    finally:
        try:
            if isinstance(source, Generator):
                source.close()
        finally:
            if not abandoned.is_set():
                items.put(end)


def prefetch(source: Iterator[T], size: int, name: str = "prefetch") -> Generator[T, None, None]:
    """The items of ``source`` in order; ``source`` runs in its own thread, at most ``size`` items ahead.

    An error of ``source`` is raised here, after the items before it. Closing this generator (or leaving its loop and
    dropping it) stops the thread, closes ``source`` in it, and joins it: no thread is left running.
    """
    items: Queue[T | _End] = Queue(size)
    abandoned = Event()
    thread = Thread(target=_produce, args=(source, items, abandoned), name=name, daemon=True)
    thread.start()
    try:
        while not isinstance(item := items.get(), _End):
            yield item
            del item
        if item.error is not None:
            raise item.error
    finally:
        abandoned.set()
        with suppress(Empty):  # the producer may wait for room: it puts at most one more item
            while True:
                items.get_nowait()
        thread.join()
