"""What a command line names: files, folders with videos in them, and where the outputs go."""

import os
from pathlib import Path

import pytest

from farm.cli.sources import Named, named
from farm.errors import OutputError, SettingsError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    for name in (
        "b.MP4",
        "a.mkv",
        "a.blurred.mkv",
        "a.debug.mkv",
        ".hidden.mp4",
        "notes.txt",
        ".git/x.mp4",
        "cam 2/deep/c.mov",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def outputs(found: Named, root: Path) -> dict[str, str]:
    assert not any(video.error for video in found.videos)
    return {v.name: v.output.relative_to(root).as_posix() if v.output else "" for v in found.videos}


def errors(found: Named) -> list[str]:
    return [str(video.error) for video in found.videos if video.error]


def test_a_folder_stands_for_the_videos_in_it(tree: Path) -> None:
    found = named([tree], None, recursive=False)
    assert [(v.source, v.name, v.output) for v in found.videos] == [
        (tree / "a.mkv", "a.mkv", None),
        (tree / "b.MP4", "b.MP4", None),
    ]
    assert found.skipped == (
        f"{tree}: skipped 2 outputs, 1 other file, 1 folder; --recursive also reads the folders in it",
    )


def test_folders_in_folders_are_mirrored(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = named([tree], f"{out}/", recursive=True)
    assert found.folder
    assert outputs(found, out) == {"a.mkv": ".", "b.MP4": ".", "cam 2/deep/c.mov": "cam 2/deep"}


def test_links_are_followed_and_loops_are_not(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "d.mp4").touch()
    (tree / "linked").symlink_to(tmp_path / "elsewhere")
    (tree / "cam 2" / "up").symlink_to(tree)
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere")
    names = [video.name for video in named([tree], None, recursive=True).videos]
    assert names == ["a.mkv", "b.MP4", "cam 2/deep/c.mov", "linked/d.mp4"]


def test_a_folder_without_videos_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").touch()
    (tmp_path / "a.blurred.mp4").touch()
    skipped = "skipped 1 output, 1 other file, 1 folder; --recursive also reads the folders in it"
    assert errors(named([tmp_path], None, recursive=False)) == [f"{tmp_path}: no videos in this folder ({skipped})"]
    assert errors(named([tmp_path / "sub"], None, recursive=True)) == [f"{tmp_path}/sub: no videos in this folder"]


def test_a_folder_that_cannot_be_read_is_an_error_of_its_own(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read everything
    found = named([tree], None, recursive=True)
    assert [v.name for v in found.videos if not v.error] == ["a.mkv", "b.MP4"]
    assert errors(found) == [f"{tree}/cam 2/deep: the folder cannot be read: Permission denied (check its permissions)"]


def test_a_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    paths = [tmp_path / "a.blurred.mp4", tmp_path / ".b.dat"]
    assert [v.source for v in named(paths, None, recursive=False).videos] == paths


def test_a_name_with_a_slash_at_its_end_is_a_folder(tmp_path: Path) -> None:
    assert named([Path("a.mp4")], f"{tmp_path}/new/", recursive=False).folder
    assert named([Path("a.mp4")], str(tmp_path), recursive=False).folder
    assert not named([Path("a.mp4")], f"{tmp_path}/new", recursive=False).folder


@pytest.mark.parametrize("count", [2, 0])
def test_many_videos_need_a_folder(tree: Path, tmp_path: Path, count: int) -> None:
    sources = [Path("a.mp4")] * count or [tree]
    with pytest.raises(
        OutputError, match=r"new is not a folder \(for several videos, name a folder .* or .*/new/ to create it\)"
    ):
        named(sources, f"{tmp_path}/new", recursive=False)


def test_an_empty_name_is_no_output() -> None:
    with pytest.raises(SettingsError, match="-o: the name is empty"):
        named([Path("a.mp4")], "", recursive=False)
