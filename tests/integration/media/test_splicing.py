"""Groups of frames without a mask are copied from an H.264 source; seams decode everywhere, from everywhere."""

from pathlib import Path

import pytest

from farm.domain.options import RedactOptions
from tests.integration.spliced import Spliced, all_pictures, changed, packets, pictures, sought, splice
from tests.integration.trips import rendered

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=208x160:rate=25:duration=4", "-pix_fmt", "yuv420p"]


def x264(parameters: str = "", *more: str) -> list[str]:
    given = ":".join(filter(None, ("keyint=20:min-keyint=20:scenecut=0", parameters)))
    return [*PICTURE, "-c:v", "libx264", "-preset", "veryfast", "-x264-params", given, *more]


SOURCES = {
    "usual.mp4": x264("bframes=3:b-pyramid=normal"),
    "other.mkv": x264("ref=6:bframes=5:b-adapt=0:weightp=2:cabac=0:8x8dct=1"),
    "plain.mov": x264("bframes=0:ref=1", "-profile:v", "baseline"),
    "ids.mp4": x264("sps-id=1:bframes=2:annexb=0"),
    "varying.mp4": [*x264("bframes=3"), "-vf", "settb=1/90000,setpts='N*3600+mod(N*N,7)*211'",
                    "-fps_mode", "passthrough", "-enc_time_base", "1/90000", "-video_track_timescale", "90000"],
    "ten.mp4": [*x264("bframes=3"), "-pix_fmt", "yuv420p10le"],
    "whole.mp4": [*x264("bframes=3"), "-pix_fmt", "yuv444p"],
    "delimited.mp4": x264("aud=1:bframes=3:slices=3:repeat-headers=1"),
}  # fmt: skip
#: Frames of the third group and of a place where chunks meet: groups are 20 frames, chunks 60.
COVERED = frozenset({45, 46, 75})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("splicing")


def made(name: str, folder: Path) -> Path:
    return rendered(folder / name, *SOURCES[name])


def check(found: Spliced, copied: frozenset[int]) -> None:
    """What must hold of each output; ``copied``: the frames whose packets have to be the source's."""
    assert found.copied == copied
    assert [time for time, _ in packets(found.out)] == [time for time, _ in packets(found.source)]
    before, after = pictures(found.source), pictures(found.out)
    assert {n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a == b} == copied
    for number, change in enumerate(changed(found.source, found.out)):
        assert change > 20 if number in found.covered else change < 10, number
    everything = all_pictures(found.out)
    for number in sorted({n for n in copied if n - 1 not in copied} | {n + 1 for n in copied if n + 1 not in copied}):
        for at in everything[max(0, number - 1) : number + 2]:
            assert sought(found.out, at[0])[0] == at[1]


@pytest.mark.parametrize("name", SOURCES)
def test_untouched_groups_are_the_sources_own(name: str, folder: Path, tmp_path: Path) -> None:
    suffix = Path(name).suffix
    container = {".mkv": "matroska"}.get(suffix, suffix[1:])
    found = splice(made(name, folder), tmp_path, COVERED, suffix, container=container)
    assert found.manifest.encoder.copies
    check(found, frozenset(range(100)) - frozenset(range(40, 80)))


@pytest.mark.parametrize("preset", ["ultrafast", "superfast", "slow"])
@pytest.mark.parametrize("name", [name for name in SOURCES if name not in ("ten.mp4", "whole.mp4")])
def test_another_decoder_shows_copied_frames_as_it_shows_the_source(
    name: str, preset: str, folder: Path, tmp_path: Path
) -> None:
    """OpenH264, which is in the wheel's ffmpeg: 8 bits in 4:2:0. It drops pictures where sequences buffer otherwise."""
    redact = RedactOptions(style="solid", preset=preset)
    found = splice(made(name, folder), tmp_path, COVERED, redact=redact)
    before, after = (pictures(path, "libopenh264") for path in (found.source, found.out))
    assert [a == b for a, b in zip(before, after, strict=True)] == [n in found.copied for n in range(100)]


def test_every_number_of_covered_frames(folder: Path, tmp_path: Path) -> None:
    for number, covered in enumerate((frozenset[int](), frozenset(range(100)), frozenset({0}), frozenset({99}))):
        (at := tmp_path / str(number)).mkdir()
        groups = {n // 20 for n in covered}
        check(splice(made("usual.mp4", folder), at, covered), frozenset(n for n in range(100) if n // 20 not in groups))
