"""What only a store in a folder can do."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from farm.errors import StorageError
from farm.storage.base import Extent
from farm.storage.local import LocalStorage
from tests.contract.test_storage import put
from tests.memory_store import keys_below


def test_remove_unfinished_takes_only_what_killed_writers_left(tmp_path: Path) -> None:
    store = LocalStorage(tmp_path / "store")
    key = put(store, "a/whole.x")
    writer = store.put("a/b/half.x")
    writer.__enter__().path.write_bytes(b"half of")  # and never ends, as if it were killed
    assert keys_below(store, "a") == [key]
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 2
    (half,) = (p for p in tmp_path.rglob("*half.x") if p.is_file())
    os.utime(half, (time.time() - 61,) * 2)
    with store.put("a/b/alive.x") as draft:  # by another process, at the same time
        draft.path.write_bytes(b"whole")
        store.remove_unfinished()
    store.delete(draft.key)
    assert [p.relative_to(store.root).as_posix() for p in tmp_path.rglob("*") if p.is_file()] == [key]


def test_the_age_of_a_group_is_that_of_its_newest_file(tmp_path: Path) -> None:
    store = LocalStorage(tmp_path / "store")
    put(store, "a/b/c/1.x")
    for path in (tmp_path / "store").rglob("*"):
        os.utime(path, (time.time() - 1000,) * 2)
    assert [round(group.age, -2) for group in store.groups()] == [1000]
    put(store, "a/b/2.x")
    assert [round(group.age, -2) for group in store.groups()] == [0]


def test_what_a_writer_left_beside_its_own_file_is_unfinished_too(tmp_path: Path) -> None:
    store = LocalStorage(tmp_path / "store")
    path = store.put("a/b/out.mp4").__enter__().path
    path.write_bytes(b"1")
    path.with_name(f".{path.name}.video").write_bytes(b"12")
    assert store.remove_unfinished(3600) == Extent()
    for left in path.parent.iterdir():
        os.utime(left, (time.time() - 3601,) * 2)
    assert store.remove_unfinished(3600) == Extent(2, 3)


def test_no_symbolic_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    for name in ("b/file", ".discarded-1/file", ".writing-1-old"):
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / name).write_bytes(b"mine")
    os.utime(outside / ".writing-1-old", (0, 0))
    store = LocalStorage(tmp_path / "store")
    key = put(store, "a/b/1.x")
    (store.root / "a" / "linked").symlink_to(outside)
    (store.root / "a" / "b" / "linked").symlink_to(outside)
    (store.root / "linked").symlink_to(outside)
    assert [group.prefix for group in store.groups()] == ["a/b"]
    for prefix in ("linked/b", "a/linked"):
        with pytest.raises(StorageError, match="behind a symbolic link"):
            store.discard(prefix)
    store.discard("a/b")
    store.purge()
    store.remove_unfinished()
    assert len([p for p in outside.rglob("*") if p.is_file()]) == 3
    assert not store.exists(key)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = LocalStorage(tmp_path / "file" / "store")
    with pytest.raises(StorageError, match="cannot write to") as caught:
        put(store, "a/b.x")
    assert str(tmp_path / "file" / "store" / "a" / "b.x") in str(caught.value)
    assert caught.value.hint
    assert keys_below(store, "a") == []


def test_what_cannot_be_deleted_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStorage(tmp_path / "store")
    key = put(store, "a/b/c.x")

    def refuse(path: object, **_: object) -> None:
        raise PermissionError(errno.EACCES, "not yours", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        for prefix in ("a/b", key):
            with pytest.raises(StorageError, match=r"cannot delete .*a/b.*Permission denied"):
                store.delete(prefix)
    assert store.exists(key)


def test_a_folder_purged_by_two_at_once_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStorage(tmp_path / "store")
    key = put(store, "a/b/c.x")
    put(store, "a/b/d.x")
    remove, overtaken = shutil.rmtree, list[Path]()

    def second(path: Path) -> None:
        if not overtaken:  # the other one deletes a file that this one has listed
            overtaken.append(path)
            (path / key.rpartition("/")[2]).unlink()
            raise FileNotFoundError(path / key)
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", second)
    store.discard("a/b")
    store.purge()
    store.purge()  # the rest
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("root", "folder", "file"),
    [(None, 0o700, 0o600), (0o755, 0o700, 0o600), (0o777, 0o770, 0o660), (0o2770, 0o2770, 0o660)],
)
def test_only_the_user_or_a_group_that_may_write_can_read_a_store(
    tmp_path: Path, root: int | None, folder: int, file: int
) -> None:
    store = LocalStorage(tmp_path / "store")
    if root is not None:
        store.root.mkdir()
        store.root.chmod(root)
    before = os.umask(0)
    try:
        put(store, "plans/f/pts/0.json")
        store.claim("me")
    finally:
        os.umask(before)
    made = list(store.root.rglob("*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_dir()} == {folder}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_file()} == {file}
    assert stat.S_IMODE(store.root.stat().st_mode) == (root or 0o700)


def test_what_an_ended_process_of_this_host_was_writing_can_go_at_once(tmp_path: Path) -> None:
    store = LocalStorage(tmp_path / "store")
    code = (
        "import os, sys; from pathlib import Path; from farm.storage.local import LocalStorage\n"
        "LocalStorage(Path(sys.argv[1])).put('a/b/half.x').__enter__().path.write_bytes(b'half'); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(store.root)], check=False)
    writer = store.put("a/b/mine.x")
    draft = writer.__enter__()
    draft.path.write_bytes(b"mine")
    assert store.remove_unfinished() == Extent()
    assert store.remove_unfinished(here=True) == Extent(1, 4)
    writer.__exit__(None, None, None)
    assert store.exists(draft.key)
