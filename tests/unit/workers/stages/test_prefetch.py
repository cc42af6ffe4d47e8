import threading
import time
from collections.abc import Generator, Iterator

import pytest

from workers.stages.prefetch import prefetch
from workers.stages.spent import Spent


class Source:
    """Counts, and notes how far it was asked and whether it was closed."""

    def __init__(self, count: int, fail_at: int | None = None) -> None:
        self.made = 0
        self.closed = False
        self._count, self._fail_at = count, fail_at

    def items(self) -> Iterator[int]:
        try:
            for number in range(self._count):
                if number == self._fail_at:
                    raise ValueError("broken")
                self.made += 1
                yield number
        finally:
            self.closed = True


def threads_called(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_items_in_order_from_another_thread() -> None:
    source = Source(1000)
    assert list(prefetch(source.items(), 3, "order")) == list(range(1000))
    assert source.closed
    assert not threads_called("order")


def test_is_never_further_ahead_than_asked() -> None:
    source = Source(100)
    ahead = prefetch(source.items(), 4, "bounded")
    assert next(ahead) == 0
    time.sleep(0.1)
    assert source.made <= 1 + 4 + 1  # taken, waiting, and one in hand
    ahead.close()


def test_an_error_comes_after_the_items_before_it() -> None:
    got: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        got.extend(prefetch(Source(10, fail_at=5).items(), 2, "failing"))
    assert got == [0, 1, 2, 3, 4]
    assert not threads_called("failing")


def test_closing_early_stops_the_threads_of_a_whole_chain() -> None:
    source = Source(10**9)
    outer = prefetch(prefetch(source.items(), 2, "inner"), 2, "outer")
    assert [next(outer), next(outer)] == [0, 1]
    outer.close()
    assert source.closed
    assert not threads_called("inner")
    assert not threads_called("outer")


def test_spent_counts_the_thread_that_works() -> None:
    spent = Spent()

    def busy() -> Generator[int, None, None]:
        for number in range(3):
            end = time.thread_time() + 0.02
            while time.thread_time() < end:
                pass
            yield number

    for _ in prefetch(spent.each("busy", busy()), 1):
        with spent.part("idle"):
            time.sleep(0.005)
    seconds = spent.seconds()
    assert 0.06 <= seconds["busy"] < 0.3
    assert seconds["idle"] < 0.02
    assert set(seconds) == {"busy", "idle", "other"}
