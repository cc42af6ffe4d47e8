"""What every store has to do, and does in the same way. A new implementation is one more line in STORES."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from farm.errors import DamagedArtefact, StorageError
from farm.messages import Artefact
from farm.storage.base import Extent, Storage, is_whole, opened
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


def put(store: Storage, name: str, content: bytes = b"content") -> str:
    """Store an artefact; its key."""
    with store.put(name) as draft:
        draft.path.write_bytes(content)
    return draft.key


def get(store: Storage, key: str) -> bytes:
    with opened(store, key) as path:
        return path.read_bytes()


def harm(store: Storage, key: str, content: bytes) -> None:
    """Change what a store holds behind its back."""
    if isinstance(store, LocalStorage):
        (store.root / key).write_bytes(content)
    else:
        assert isinstance(store, MemoryStorage)
        store.content[key] = content


def interrupt(store: Storage, name: str, error: BaseException) -> None:
    with store.put(name) as draft:
        draft.path.write_bytes(b"half of")
        raise error


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_is_created_can_be_read(store: Storage) -> None:
    key = put(store, "a/b/c-1_2.json", b"\0\xff")
    assert store.exists(key)
    assert get(store, key) == b"\0\xff"


def test_a_key_ends_in_the_digest_of_the_content(store: Storage) -> None:
    with store.put("a/b.json") as draft:
        draft.path.write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    assert (draft.key, draft.size, draft.sha256, draft.damaged) == (f"a/b.{digest}.json", 7, digest, False)
    assert draft.artefact(3, covered=2) == Artefact(key=draft.key, size=7, sha256=digest, frames=3, covered=2)


def test_an_artefact_is_invisible_until_it_is_whole(store: Storage) -> None:
    with store.put("a/b.x") as draft:
        draft.path.write_bytes(b"half of")
        assert keys_below(store, "a") == []
        draft.path.write_bytes(b"the whole")
    assert get(store, draft.key) == b"the whole"
    assert keys_below(store, "a") == [draft.key]


@pytest.mark.parametrize("error", [ValueError("a defect"), OSError(28, "full"), KeyboardInterrupt()], ids=repr)
def test_after_an_error_nothing_is_there(store: Storage, tmp_path: Path, error: BaseException) -> None:
    with pytest.raises((StorageError, type(error))):
        interrupt(store, "a/b.x", error)
    assert keys_below(store, "a") == []
    assert files(tmp_path) == []
    assert get(store, put(store, "a/b.x", b"again")) == b"again"


def test_a_full_disk_says_what_to_do(store: Storage) -> None:
    with pytest.raises(StorageError, match=r"No space left.*free some space"):
        interrupt(store, "a/b.x", OSError(28, "full"))


def test_a_writer_that_wrote_nothing_made_nothing(store: Storage) -> None:
    with pytest.raises(StorageError), store.put("a/b.x"):
        pass
    assert keys_below(store, "a") == []


def test_equal_contents_are_one_artefact_and_others_stay_beside_each_other(store: Storage) -> None:
    keys = {put(store, "a/b.x", content) for content in (b"one", b"two", b"one")}
    assert keys_below(store, "a") == sorted(keys)
    assert {get(store, key) for key in keys} == {b"one", b"two"}


def test_what_changes_after_it_was_verified_is_not_stored(store: Storage, tmp_path: Path) -> None:
    def change() -> None:
        with store.put("a/b.x") as draft:
            draft.path.write_bytes(b"verified")
            draft.verified = hashlib.sha256(b"verified").hexdigest()
            draft.path.write_bytes(b"verifiex")

    with pytest.raises(StorageError, match=r"a/b.x changed after it was verified"):
        change()
    assert files(tmp_path) == []


def test_two_writers_at_once_do_not_share_a_file(store: Storage) -> None:
    with store.put("a/b.x") as one, store.put("a/b.x") as two:
        assert one.path != two.path
        one.path.write_bytes(b"one")
        two.path.write_bytes(b"two")
    assert (get(store, one.key), get(store, two.key)) == (b"one", b"two")


def test_the_path_to_write_keeps_the_suffix(store: Storage) -> None:
    with store.put("a/video.mp4") as draft:
        assert draft.path.suffix == ".mp4"
        draft.path.write_bytes(b"")
    assert draft.key.endswith(".mp4")


@pytest.mark.parametrize("content", [b"", b"conten", b"Content", b"content and more"])
def test_what_is_not_what_its_key_says_is_not_read(store: Storage, content: bytes) -> None:
    key = put(store, "a/b.x")
    assert is_whole(store, key)
    assert not store.set_aside(key)
    harm(store, key, content)
    assert not is_whole(store, key)
    with pytest.raises(DamagedArtefact, match=f"{key} is damaged") as refused, opened(store, key):
        pass
    assert refused.value.key == key


def test_what_is_damaged_is_set_aside(store: Storage) -> None:
    key = put(store, "a/b.x")
    harm(store, key, b"changed")
    assert store.set_aside(key)
    assert not store.set_aside(key)
    assert (store.exists(key), keys_below(store, "a")) == (False, [])


def test_a_writer_replaces_what_is_damaged_and_says_so(store: Storage) -> None:
    key = put(store, "a/b.x")
    harm(store, key, b"changed")
    with store.put("a/b.x") as draft:
        draft.path.write_bytes(b"content")
    assert (draft.key, draft.damaged) == (key, True)
    assert get(store, key) == b"content"


def test_absent_keys_are_an_error_that_names_them(store: Storage) -> None:
    for read in (store.fetch, lambda key: opened(store, key)):
        with pytest.raises(DamagedArtefact, match=r"a/absent is not there") as refused, read("a/absent"):
            pass
        assert refused.value.key == "a/absent"
    assert not store.exists("a/absent")
    assert not store.set_aside("a/absent")


def test_a_path_that_was_fetched_keeps_the_suffix_and_the_content(store: Storage) -> None:
    key = put(store, "a/video.mp4", b"frames")
    with store.fetch(key) as one, store.fetch(key) as two:
        assert one.suffix == two.suffix == ".mp4"
        assert one.read_bytes() == two.read_bytes() == b"frames"


def test_removing_what_is_unfinished_leaves_what_is_whole(store: Storage) -> None:
    store.remove_unfinished()
    key = put(store, "a/b.x")
    store.remove_unfinished()
    assert keys_below(store, "a") == [key]


def test_a_folder_of_keys_is_no_artefact(store: Storage) -> None:
    put(store, "a/b/c.x")
    assert not store.exists("a/b")
    with pytest.raises(StorageError), store.fetch("a/b"):
        pass


@pytest.mark.parametrize("name", ["a/b", "a.b/c", "b"])
def test_a_name_has_a_suffix(store: Storage, name: str) -> None:
    with pytest.raises(StorageError, match="cannot be a key"), store.put(name):
        pass


@pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
def test_bad_keys_are_refused_by_everything(store: Storage, tmp_path: Path, key: str) -> None:
    (tmp_path / "a").write_bytes(b"outside the store")
    whole = put(store, "a/b.x")
    for name in (key, f"{key}.x"):
        with pytest.raises(StorageError, match="cannot be a key"), store.put(name):
            pass
    with pytest.raises(StorageError, match="cannot be a key"), store.fetch(key):
        pass
    for call in (store.exists, store.delete, store.set_aside):
        with pytest.raises(StorageError, match="cannot be a key"):
            call(key)
    assert store.exists(whole)
    assert (tmp_path / "a").read_bytes() == b"outside the store"


def test_delete_removes_one_key(store: Storage) -> None:
    one, two, three = (put(store, name) for name in ("a/b/1.x", "a/b/2.x", "a/c.x"))
    store.delete(one)
    store.delete(three)
    assert keys_below(store, "a") == [two]


def test_deleting_what_is_not_there_is_no_error(store: Storage) -> None:
    store.delete("a/b")
    key = put(store, "a/b.x")
    store.delete("a/c")
    store.delete(f"{key}/below/a/key")
    store.delete(key)
    store.delete(key)
    assert not store.exists(key)


def test_what_is_discarded_is_gone_at_once_and_its_space_is_freed_later(store: Storage) -> None:
    one, _, other, last = (put(store, name, b"123") for name in ("a/b/1.x", "a/b/c/2.x", "a/bc/1.x", "a/c.x"))
    for prefix in ("a/b", "a/none", last):  # the last one is a key, with none below it
        store.discard(prefix)
    assert keys_below(store, "a") == sorted([other, last])
    assert not store.exists(one)
    again = put(store, "a/b/1.x", b"again")
    assert store.purge() == Extent(2, 6)
    assert store.purge() == Extent()
    assert get(store, again) == b"again"


def test_an_artefact_that_is_being_written_when_its_group_is_discarded_is_kept(store: Storage) -> None:
    put(store, "a/b/1.x")
    with store.put("a/b/2.x") as draft:
        draft.path.write_bytes(b"whole")
        store.discard("a/b")
        store.purge()
    assert keys_below(store, "a") == [draft.key]
    assert get(store, draft.key) == b"whole"


def test_groups_are_measured(store: Storage) -> None:
    assert list(store.groups()) == []
    for name in ("a/b/1.x", "a/b/c/2.x", "a/bc/1.x", "d/e/f.x"):
        put(store, name, b"123")
    groups = {group.prefix: group for group in store.groups()}
    assert {prefix: group.extent for prefix, group in groups.items()} == {
        "a/b": Extent(2, 6), "a/bc": Extent(1, 3), "d/e": Extent(1, 3),
    }  # fmt: skip
    assert all(-1 < group.age < 60 for group in groups.values())


def test_databases_that_use_a_store_are_counted(store: Storage) -> None:
    assert [store.claim(owner) for owner in ("one", "one", "two", "one")] == [1, 1, 2, 2]
    assert list(store.groups()) == []
