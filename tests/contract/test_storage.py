"""What every store has to do, and does in the same way. A new implementation is one more line in STORES."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from farm.errors import StorageError
from farm.storage.base import Extent, Storage
from farm.storage.local import LocalStorage
from tests.memory_store import MemoryStorage, keys_below


def memory(folder: Path) -> MemoryStorage:
    folder.mkdir(parents=True, exist_ok=True)
    return MemoryStorage(folder)


STORES: dict[str, Callable[[Path], Storage]] = {"local": LocalStorage, "memory": memory}
BAD_KEYS = [
    "", ".", "..", "../a", "a/..", "a/../b", "/a", "/etc/passwd", "a//b", "a/", ".hidden", "a/.hidden", "a b", "a\nb",
    "a\n", "a\\b", "ä", "~", "a/\0",
]  # fmt: skip


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return STORES[request.param](tmp_path / "store")


def put(store: Storage, key: str, content: bytes = b"content") -> None:
    with store.put(key) as path:
        path.write_bytes(content)


def get(store: Storage, key: str) -> bytes:
    with store.fetch(key) as path:
        return path.read_bytes()


def harm(store: Storage, key: str, content: bytes) -> None:
    """Change what a store holds behind its back."""
    if isinstance(store, LocalStorage):
        (store.root / key).write_bytes(content)
    else:
        assert isinstance(store, MemoryStorage)
        store.content[key] = content


def interrupt(store: Storage, key: str, error: BaseException) -> None:
    with store.put(key) as path:
        path.write_bytes(b"half of")
        raise error


def test_what_is_created_can_be_read(store: Storage) -> None:
    put(store, "a/b/c-1_2.json", b"\0\xff")
    assert store.exists("a/b/c-1_2.json")
    assert get(store, "a/b/c-1_2.json") == b"\0\xff"


def test_an_artefact_is_invisible_until_it_is_whole(store: Storage) -> None:
    with store.put("a/b") as path:
        path.write_bytes(b"half of")
        assert not store.exists("a/b")
        assert keys_below(store, "a") == []
        with pytest.raises(StorageError), store.fetch("a/b"):
            pass
        path.write_bytes(b"the whole")
    assert get(store, "a/b") == b"the whole"
    assert keys_below(store, "a") == ["a/b"]


@pytest.mark.parametrize("error", [ValueError("a defect"), OSError(28, "full"), KeyboardInterrupt()], ids=repr)
def test_after_an_error_nothing_is_there(store: Storage, tmp_path: Path, error: BaseException) -> None:
    with pytest.raises((StorageError, type(error))):
        interrupt(store, "a/b", error)
    assert not store.exists("a/b")
    assert keys_below(store, "a") == []
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    put(store, "a/b", b"again")
    assert get(store, "a/b") == b"again"


def test_a_full_disk_says_what_to_do(store: Storage) -> None:
    with pytest.raises(StorageError, match=r"No space left.*free some space"):
        interrupt(store, "a/b", OSError(28, "full"))


def test_a_writer_that_wrote_nothing_made_nothing(store: Storage) -> None:
    with pytest.raises(StorageError), store.put("a/b"):
        pass
    assert not store.exists("a/b")


def test_the_first_writer_wins_and_the_second_sees_no_error(store: Storage, tmp_path: Path) -> None:
    with store.put("a/b") as late:
        late.write_bytes(b"late")
        put(store, "a/b", b"first")
    put(store, "a/b", b"third")
    assert get(store, "a/b") == b"first"
    assert keys_below(store, "a") == ["a/b"]
    held = [tmp_path / "store" / "a" / "b"] if isinstance(store, LocalStorage) else []
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == held


def test_two_writers_at_once_do_not_share_a_file(store: Storage) -> None:
    with store.put("a/b") as one, store.put("a/b") as two:
        assert one != two
        one.write_bytes(b"one")
        two.write_bytes(b"two")
    assert get(store, "a/b") in {b"one", b"two"}


def test_the_path_to_write_keeps_the_suffix(store: Storage) -> None:
    with store.put("a/video.mp4") as path:
        assert path.suffix == ".mp4"
        path.write_bytes(b"")


def test_describe_tells_real_size_and_digest(store: Storage) -> None:
    content = b"0123456789" * 1000
    put(store, "a/b", content)
    found = store.describe("a/b", frames=7)
    assert (found.key, found.size, found.frames) == ("a/b", 10_000, 7)
    assert found.sha256 == hashlib.sha256(content).hexdigest()


def test_describe_reads_anew(store: Storage) -> None:
    put(store, "a/b", b"content")
    before = store.describe("a/b", frames=1)
    harm(store, "a/b", b"changed")
    assert store.describe("a/b", frames=1).sha256 != before.sha256


def test_absent_keys_are_a_storage_error_that_names_them(store: Storage) -> None:
    with pytest.raises(StorageError, match="a/absent"), store.fetch("a/absent"):
        pass
    with pytest.raises(StorageError, match="a/absent"):
        store.describe("a/absent", frames=1)
    assert not store.exists("a/absent")


def test_a_path_that_was_fetched_keeps_the_suffix_and_the_content(store: Storage) -> None:
    put(store, "a/video.mp4", b"frames")
    with store.fetch("a/video.mp4") as one, store.fetch("a/video.mp4") as two:
        assert one.suffix == two.suffix == ".mp4"
        assert one.read_bytes() == two.read_bytes() == b"frames"


def test_removing_what_is_unfinished_leaves_what_is_whole(store: Storage) -> None:
    store.remove_unfinished()
    put(store, "a/b")
    store.remove_unfinished()
    assert keys_below(store, "a") == ["a/b"]


def test_a_folder_of_keys_is_no_artefact(store: Storage) -> None:
    put(store, "a/b/c")
    assert not store.exists("a/b")
    with pytest.raises(StorageError), store.fetch("a/b"):
        pass


@pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
def test_bad_keys_are_refused_by_everything(store: Storage, tmp_path: Path, key: str) -> None:
    (tmp_path / "a").write_bytes(b"outside the store")
    put(store, "a/b")
    with pytest.raises(StorageError, match="cannot be a key"), store.put(key):
        pass
    with pytest.raises(StorageError, match="cannot be a key"), store.fetch(key):
        pass
    for call in (store.exists, store.delete, lambda k: store.describe(k, 1)):
        with pytest.raises(StorageError, match="cannot be a key"):
            call(key)
    assert store.exists("a/b")
    assert (tmp_path / "a").read_bytes() == b"outside the store"


def test_delete_removes_one_key(store: Storage) -> None:
    for key in ("a/b/1", "a/b/2", "a/c"):
        put(store, key)
    store.delete("a/b/1")
    store.delete("a/c")
    assert keys_below(store, "a") == ["a/b/2"]


def test_deleting_what_is_not_there_is_no_error(store: Storage) -> None:
    store.delete("a/b")
    put(store, "a/b")
    store.delete("a/c")
    store.delete("a/b/below/a/key")
    store.delete("a/b")
    store.delete("a/b")
    assert not store.exists("a/b")


def test_what_is_discarded_is_gone_at_once_and_its_space_is_freed_later(store: Storage) -> None:
    for key in ("a/b/1", "a/b/c/2", "a/bc/1", "a/c"):
        put(store, key, b"123")
    for prefix in ("a/b", "a/none", "a/c"):  # the last one is a key, with none below it
        store.discard(prefix)
    assert keys_below(store, "a") == ["a/bc/1", "a/c"]
    assert not store.exists("a/b/1")
    put(store, "a/b/1", b"again")
    assert store.purge() == Extent(2, 6)
    assert store.purge() == Extent()
    assert get(store, "a/b/1") == b"again"


def test_an_artefact_that_is_being_written_when_its_group_is_discarded_is_kept(store: Storage) -> None:
    put(store, "a/b/1")
    with store.put("a/b/2") as path:
        path.write_bytes(b"whole")
        store.discard("a/b")
        store.purge()
    assert keys_below(store, "a") == ["a/b/2"]
    assert get(store, "a/b/2") == b"whole"


def test_groups_are_measured(store: Storage) -> None:
    assert list(store.groups()) == []
    for key in ("a/b/1", "a/b/c/2", "a/bc/1", "d/e/f"):
        put(store, key, b"123")
    groups = {group.prefix: group for group in store.groups()}
    assert {prefix: group.extent for prefix, group in groups.items()} == {
        "a/b": Extent(2, 6), "a/bc": Extent(1, 3), "d/e": Extent(1, 3),
    }  # fmt: skip
    assert all(-1 < group.age < 60 for group in groups.values())


def test_databases_that_use_a_store_are_counted(store: Storage) -> None:
    assert [store.claim(owner) for owner in ("one", "one", "two", "one")] == [1, 1, 2, 2]
    assert list(store.groups()) == []
