"""Where an output may go: what cannot be written in the end is refused before any work."""

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from farm.domain.options import ComposeOptions, JobOptions, RedactOptions
from farm.errors import OutputError
from farm.jobs.placing import Request, prepare
from tests.integration.coordinator.test_submit import ALL, asked
from tests.integration.trips import X264, Rendered, with_sound


@pytest.fixture
def source(render: Rendered) -> Path:
    return render("submitted.mkv", *with_sound(), "-map", "1", "-map", "0", *X264)


def _dangling(place: Path, source: Path) -> str:
    place.symlink_to(source.parent / "nothing")
    return "is a symbolic link that leads to no file"


def _loop(place: Path, source: Path) -> str:
    place.symlink_to(place)
    return "is a symbolic link that leads to no file"


def _fifo(place: Path, source: Path) -> str:
    os.mkfifo(place)
    return "is not a regular file"


def _socket(place: Path, source: Path) -> str:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
    return "is not a regular file"


def _device(place: Path, source: Path) -> str:
    place.symlink_to("/dev/null")
    return "is not a regular file"


def _hard_link(place: Path, source: Path) -> str:
    os.link(source, place)
    return "is the source"


@pytest.mark.parametrize("make", [_dangling, _loop, _fifo, _socket, _device, _hard_link])
def test_what_cannot_be_replaced_by_a_video_is_refused_before_any_work(
    source: Path, tmp_path: Path, make: Callable[[Path, Path], str]
) -> None:
    place = tmp_path / "out.mkv"
    (tmp_path / "in.mkv").write_bytes(source.read_bytes())
    why = make(place, tmp_path / "in.mkv")
    before = place.lstat()
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=why):
            prepare(replace(asked(tmp_path / "in.mkv", place), overwrite=overwrite), ALL)
    assert place.lstat().st_mode == before.st_mode


@pytest.mark.parametrize("what", ["dangling link", "link to an empty folder", "mount point"])
def test_a_folder_that_pictures_cannot_replace_is_refused_before_any_work(
    source: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "frames"
    if what == "mount point":
        folder.mkdir()
        monkeypatch.setattr(Path, "is_mount", lambda path: path == folder)
    else:
        folder.symlink_to(tmp_path / "other")
        if what == "link to an empty folder":
            (tmp_path / "other").mkdir()
    options = JobOptions(redact=RedactOptions(codec="ffv1"), compose=ComposeOptions(pictures="png"))
    with pytest.raises(OutputError, match=f"frames is a {'mount point' if 'mount' in what else 'symbolic link'}"):
        prepare(Request(source, folder, overwrite=False, options=options), ALL)


@pytest.mark.parametrize("name", ["out.mkv", "store/out.mkv", "store/new/out.mkv", "../link/out.mkv"])
def test_an_output_inside_the_farms_folder_is_refused(source: Path, tmp_path: Path, name: str) -> None:
    own = tmp_path / "home"
    (own / "store").mkdir(parents=True)
    (tmp_path / "link").symlink_to(own / "store")
    place = own / name
    with pytest.raises(OutputError, match="is inside the farm's own folder"):
        prepare(replace(asked(source, place), own=(own,), folder=True, output=place.parent), ALL)
    assert not (own / "store" / "new").exists()
