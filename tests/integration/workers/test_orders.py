"""An artefact is made once, whoever else makes it at the same time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from farm.messages import Artefact
from farm.storage.local import LocalStorage
from workers.stages.orders import Result, make_once
from workers.stages.spent import Spent

KEY = "segments/fp/0_5.mp4"


class Interrupted(LocalStorage):
    """A store in which somebody else does something between an artefact and its receipt."""

    def __init__(self, root: Path, meanwhile: Callable[[], None]) -> None:
        super().__init__(root)
        self._meanwhile: list[Callable[[], None]] = [meanwhile]

    def describe(self, key: str, frames: int) -> Artefact:
        if self._meanwhile:
            self._meanwhile.pop()()
        return super().describe(key, frames)


def make(store: LocalStorage, content: str, meanwhile: Callable[[], None] = lambda: None) -> Result:
    def write(path: Path) -> int:
        path.write_text(content)
        meanwhile()
        return 5

    return make_once(store, KEY, 5, Spent(), write)


def shown(store: LocalStorage) -> str:
    with store.fetch(KEY) as path:
        return path.read_text()


def test_a_second_writer_between_artefact_and_receipt(tmp_path: Path) -> None:
    results: list[Result] = []
    store = LocalStorage(tmp_path)
    first = make(Interrupted(tmp_path, lambda: results.append(make(store, "second"))), "first")
    assert shown(store) == "first"
    assert not results[0].reused  # it made one, and reports the one that is there
    assert first.artefact == results[0].artefact == store.describe(KEY, 5)
    assert make(store, "third").reused


def test_a_second_writer_that_is_done_before_the_first(tmp_path: Path) -> None:
    results: list[Result] = []
    store = LocalStorage(tmp_path)
    first = make(store, "first", lambda: results.append(make(store, "second")))
    assert shown(store) == "second"
    assert first.artefact == results[0].artefact == store.describe(KEY, 5)
    assert make(store, "third").reused


@pytest.mark.parametrize("gone", ["", KEY])
def test_what_its_receipt_does_not_fit_is_made_anew(tmp_path: Path, gone: str) -> None:
    store = LocalStorage(tmp_path)
    make(store, "first")
    (store.root / KEY).write_text("harm")
    if gone:
        store.delete(gone)
    assert not make(store, "second").reused
    assert shown(store) == "second"
    assert make(store, "third").reused
