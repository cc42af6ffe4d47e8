"""The lines that end a job."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from farm.cli.summaries import size_text, summary
from farm.coordinator.linking import black_notes
from farm.coordinator.tracks import Written
from farm.domain.found import Found
from tests.unit.cli.conftest import facts_of


def test_the_summary_has_a_line_for_each_note() -> None:
    facts = facts_of(notes=("one; two", "three"), failures=2)
    assert summary(facts, 4.0).splitlines() == [
        "b.mp4: 50 frames (2.0 s of video) in 4.0 s, 12.5 frames/s",
        "  one; two",
        "  three",
        "  2 attempts failed and were repeated",
    ]
    assert "  1 attempt failed and was repeated" in summary(facts_of(failures=1), 4.0).splitlines()


@pytest.mark.parametrize(("frames", "says"), [(1, "1 frame ("), (2, "2 frames (")])
def test_the_summary_counts_as_people_do(frames: int, says: str) -> None:
    assert says in summary(facts_of(frames=frames), 1.0)


def lines_of(**more: Any) -> list[str]:
    options = {"redact": {"style": "blur"}, "detect": {}, "source": {}}
    return summary(facts_of(**{"options": options, **more}), 1.0).splitlines()[1:]


def test_the_summary_says_what_was_done_and_how_large_it_is() -> None:
    sizes = {"source_size": 12_340_000, "output_size": 999}
    assert lines_of(faces=39, frames_with_faces=50, psnr=43.42, without_faces=[], **sizes) == [
        "  Blurred 39 faces (tracks) in 50 of 50 frames. Rest of the picture unchanged (43.4 dB).",
        "  Size: 12.3 MB → 999 bytes.",
    ]
    marked = lines_of(faces=1, frames_with_faces=9, options={"redact": {"debug": True}})
    assert marked == ["  Marked 1 face (track) in 9 of 50 frames. Rest of the picture unchanged."]
    lossless = lines_of(faces=1, frames_with_faces=9, options={"redact": {"style": "solid"}})
    assert lossless == [
        "  Covered 1 face (track) in 9 of 50 frames. Rest of the picture unchanged.",
        "  options that are not the defaults: --style solid",
    ]
    part = {"redact": {"style": "pixelate"}, "source": {"start": 0.0, "end": 2.0}}
    assert (
        lines_of(faces=1, frames_with_faces=9, options=part, **sizes)[1] == "  Size: 999 bytes, of a part of 12.3 MB."
    )
    assert lines_of(container="pictures", **{**sizes, "faces": 2})[1] == "  Size: 50 pictures, 999 bytes."


@pytest.mark.parametrize(("copied", "says"), [(1, "1 frame"), (41, "41 frames")])
def test_the_summary_says_what_was_copied(copied: int, says: str) -> None:
    line = f"  {says} without a face copied from the source, byte for byte."
    assert lines_of(faces=1, frames_with_faces=9, copied=copied)[1] == line
    assert line in lines_of(faces=0, frames_with_faces=0, copied=copied)
    assert not any("copied" in other for other in lines_of(faces=1, frames_with_faces=9, copied=0))


def test_no_face_at_all_is_a_warning_with_advice() -> None:
    assert lines_of(faces=0, frames_with_faces=0, without_faces=[[0.0, 2.0]]) == [
        "  WARNING: No face was found in any of the 50 frames: the output is not redacted.",
        "  Watch it. If it shows faces, try --detect-size 2560, which finds smaller faces.",
    ]
    assert "try --detect-size 1280," in lines_of(faces=0, options={"detect": {"size": 640}})[1]
    largest = lines_of(faces=0, options={"detect": {"size": 8192}})
    assert largest[1] == "  Watch it. If it shows faces, they are too small or unclear for the model."


def test_the_longest_stretches_without_a_face_are_told_in_order() -> None:
    def told(*found: list[float]) -> str:
        return lines_of(faces=2, frames_with_faces=9, without_faces=list(found))[1]

    assert told([0.0, 12.4]) == "  No face was found from 0:00 to 0:12: check that there is none."
    many = [[60.0 * n, 60.0 * n + 1 + n] for n in range(8)] + [[3600.0, 3725.0]]
    assert told(*many) == (
        "  No face was found from 4:00 to 4:05, 5:00 to 5:06, 6:00 to 6:07, 7:00 to 7:08, 1:00:00 to 1:02:05"
        " and 4 shorter stretches: check that there is none."
    )


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (15 * 10**9, "15.0 GB")],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert size_text(size) == text


def test_black_frames_are_a_note() -> None:
    video = SimpleNamespace(time_base=Fraction(1, 25))
    chunks = [SimpleNamespace(pts_start=10)]
    manifest: Any = SimpleNamespace(frames=50, source=SimpleNamespace(video=video), chunks=chunks)
    assert black_notes(Written((), Found(1, 3)), manifest) == []
    why = "black because the source could not be decoded there, the first 1.200 s after the first frame"
    assert black_notes(Written((), Found(2, 3), black=4, first_black=40), manifest) == [f"4 frames are {why}"]
    assert black_notes(Written((), Found(2, 3), black=1, first_black=40), manifest) == [f"1 frame is {why}"]
