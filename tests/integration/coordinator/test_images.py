"""Pictures for the style image: refused in words, kept in the store, and never deleted under a job or an edit."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from farm.database.models import Job
from farm.domain.artefacts import is_image
from farm.domain.edits import Action
from farm.domain.manifest import Manifest
from farm.domain.options import Override, RedactOptions
from farm.errors import SettingsError
from farm.jobs.edits import add_edits
from farm.jobs.images import read_image, with_image
from farm.jobs.marking import Marker
from farm.jobs.placing import prepare
from farm.jobs.retention import clean
from farm.jobs.submit import submit
from farm.storage.base import opened
from tests.integration.coordinator.conftest import Bench
from tests.integration.coordinator.test_retention import age
from tests.integration.coordinator.test_stages import detected, step
from tests.integration.coordinator.test_submit import SOFTWARE, asked
from tests.integration.trips import X264, Rendered, with_sound

AddJob = Callable[..., Manifest]


@pytest.fixture
def logo(tmp_path: Path) -> Path:
    path = tmp_path / "logo.png"
    Image.new("RGBA", (40, 20), (255, 0, 0, 128)).save(path)
    return path


@pytest.fixture
def source(render: Rendered) -> Path:
    return render("submitted.mkv", *with_sound(), "-map", "1", "-map", "0", *X264)


def test_pictures_of_all_kinds_are_kept_in_one_form(tmp_path: Path, logo: Path) -> None:
    turned = Image.new("RGB", (30, 10), (0, 0, 255))
    exif = Image.Exif()
    exif[274] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    Image.new("P", (3000, 1500)).save(tmp_path / "large.gif")
    Image.new("LA", (7, 5), (200, 10)).save(tmp_path / "grey.webp", lossless=True)
    sizes = {"turned.jpg": (10, 30), "large.gif": (1024, 512), "grey.webp": (7, 5), "logo.png": (40, 20)}
    for name, size in sizes.items():
        kept = read_image(tmp_path / name)
        assert is_image(kept.key)
        with Image.open(io.BytesIO(kept.content)) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGBA", size)
    said = PngImagePlugin.PngInfo()
    said.add_text("author", "somebody")
    with Image.open(logo) as picture:
        picture.save(tmp_path / "named.png", pnginfo=said)
    assert read_image(tmp_path / "named.png") == read_image(logo)  # what it shows, not what it says


def test_what_is_no_picture_is_refused_in_words(tmp_path: Path, logo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.new("RGB", (9, 9), (n, 0, 0)) for n in (0, 200)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").touch()
    noise = Image.effect_noise((200, 200), 50)
    noise.save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:9000])
    os.mkfifo(tmp_path / "pipe.png")
    wrong = {
        "moving.gif": "is animated", "text.png": "is no picture that can be read",
        "empty.png": "is no picture that can be read", "cut.png": "is damaged: it cannot be decoded",
        "absent.png": "No such file", ".": "is no file", "pipe.png": "is no file",
    }  # fmt: skip
    for name, line in wrong.items():
        with pytest.raises(SettingsError, match=line):
            read_image(tmp_path / name)
    monkeypatch.setattr("farm.jobs.images._PIXELS", 700)
    with pytest.raises(SettingsError, match="has more than 0 million pixels"):
        read_image(logo)
    monkeypatch.setattr("farm.jobs.images._BYTES", 10)
    with pytest.raises(SettingsError, match="is larger than"):
        read_image(logo)


def test_the_style_and_the_picture_belong_together(logo: Path) -> None:
    for options, line in (
        (RedactOptions(style="image"), "the style image needs a picture"),
        (RedactOptions(plate_style="image"), "the style image needs a picture"),
        (RedactOptions(image=str(logo)), "redact.image is only used by the style image"),
    ):
        with pytest.raises(SettingsError, match=line):
            with_image(options)
    for options in (RedactOptions(style="image", image=str(logo)), RedactOptions(plate_style="image", image=str(logo))):
        assert with_image(options)[0].image == read_image(logo).key


def test_a_job_is_of_its_picture(bench: Bench, source: Path, tmp_path: Path, logo: Path) -> None:
    def job(output: str) -> Job:
        prepared = prepare(asked(source, tmp_path / output, style="image", image=str(logo)), SOFTWARE)
        return bench.job(submit(bench.context, prepared, "1" * 64, 1).job)

    first = job("a.mkv")
    key = first.options["redact"]["image"]
    with opened(bench.context.store, key) as path:
        assert path.read_bytes() == read_image(logo).content
    assert job("b.mkv").fingerprint == first.fingerprint
    Image.new("RGBA", (40, 20), (0, 255, 0, 128)).save(logo)
    other = job("c.mkv")
    assert other.fingerprint != first.fingerprint
    assert other.options["redact"]["image"] != key


def test_a_picture_of_a_job_or_an_edit_is_kept_and_any_other_is_not(bench: Bench, add_job: AddJob, logo: Path) -> None:
    detected(bench, add_job)
    step(bench)
    marker = Marker(bench.context, "job", "somebody")
    with pytest.raises(SettingsError, match="the style image needs a picture"):
        marker.way("image")
    with pytest.raises(SettingsError, match="--image is only used by the style image"):
        marker.way("blur", image=logo)
    said = marker.way("image", margin="50%", image=logo)
    key = read_image(logo).key
    assert said == Override("image", None, 0.5, key)
    assert bench.context.store.exists(key)
    edits = marker.of_tracks(Action.STYLE, [0], (None, None), said)
    add_edits(bench.context, "job", lambda _: edits)
    Image.new("RGBA", (4, 4)).save(logo)
    marker.way("image", image=logo)  # of an edit that never came
    unused = read_image(logo).key
    age(bench.context.settings.store_root, 86400)
    clean(bench.context, 0)
    assert [bench.context.store.exists(one) for one in (key, unused)] == [True, False]
