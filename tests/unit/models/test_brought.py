"""Detectors that are files of the user's: their paths and their content are fixed when a job is submitted."""

from dataclasses import replace
from pathlib import Path

import pytest

from farm.domain.detectors import DetectOptions, named
from farm.errors import ModelError
from farm.models.brought import check_files, with_files
from tests.unit.domain.test_described import SIMPLE


@pytest.fixture
def detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """``onnx:`` and a relative path with a plus in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a+b.onnx").write_bytes(b"a network")
    (tmp_path / "a+b.toml").write_text(SIMPLE)
    return "onnx:a+b.onnx"


def test_the_files_are_named_by_absolute_paths_and_their_digest(detector: str, tmp_path: Path) -> None:
    options = with_files(DetectOptions(detector=f"{detector}+centerface"))
    assert options.detector == f"onnx:{tmp_path}/a+b.onnx+centerface"
    assert len(options.files or "") == 64
    assert with_files(options) == options
    check_files(named(options.detector), options.files)


@pytest.mark.parametrize("suffix", ["onnx", "toml"])
def test_files_that_have_changed_since_are_refused(detector: str, tmp_path: Path, suffix: str) -> None:
    options = with_files(DetectOptions(detector=detector))
    file = tmp_path / f"a+b.{suffix}"
    file.write_text(file.read_text() + "\n")
    with pytest.raises(ModelError, match="not those of when the job was submitted"):
        check_files(named(str(options.detector)), options.files)
    assert with_files(DetectOptions(detector=detector)).files != options.files
    file.unlink()
    with pytest.raises(ModelError, match=rf"a\+b.{suffix}: No such file"):
        with_files(DetectOptions(detector=detector))


def test_a_description_that_is_none_is_one_line(detector: str, tmp_path: Path) -> None:
    for text in ("not toml", "", SIMPLE.replace("boxes", "boxen")):
        (tmp_path / "a+b.toml").write_text(text)
        with pytest.raises(ModelError, match=r"a\+b\.toml: ") as refused:
            with_files(DetectOptions(detector=detector))
        assert "\n" not in str(refused.value)


def test_other_detectors_have_no_files() -> None:
    for options in (DetectOptions(), DetectOptions(detector="centerface"), DetectOptions(detector="deepface:ssd")):
        assert with_files(options) == options
    assert replace(DetectOptions(), files=None).files is None
