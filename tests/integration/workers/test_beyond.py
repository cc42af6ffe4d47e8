"""Decoding past a chunk's end: the frames there are those that the chunks they belong to decode themselves."""

import random
from itertools import islice
from pathlib import Path

import pytest

from farm.domain.manifest import Chunk, Manifest
from farm.domain.options import SourceOptions
from farm.errors import SourceError
from farm.media.planes import planes_of
from farm.media.reading.chunk import Decoded, decode_chunk
from tests.integration.trips import VFR, rendered
from tests.integration.workers.conftest import GreenClip, MakeBench
from tests.integration.workers.test_frames import damaged
from tests.planned import plan_of
from workers.stages.orders import read_plan
from workers.stages.spent import Spent

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24:duration=2"]
X264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "veryfast", "-g", "12", "-bf", "3"]
CLIPS = {
    "closed.mp4": [*X264, "-x264-params", "scenecut=0"],
    "open.ts": [*X264, "-x264-params", "open-gop=1:b-pyramid=normal:scenecut=0"],
    "vfr.mp4": ["-vf", f"settb=1/90000,{VFR}", *X264, "-fps_mode", "passthrough", "-enc_time_base", "1/90000",
                "-video_track_timescale", "90000"],
    "hevc.mkv": ["-c:v", "libx265", "-pix_fmt", "yuv420p", "-x265-params", "log-level=none:keyint=12:open-gop=1"],
    "mpeg2.ts": ["-c:v", "mpeg2video", "-g", "12", "-bf", "2"],
    "vp9.webm": ["-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p", "-g", "12", "-deadline", "realtime", "-cpu-used", "8"],
    "mjpeg.avi": ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"],
    "bare.h264": [*X264, "-x264-params", "scenecut=0"],
}  # fmt: skip
Parts = list[list[int]]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("beyond")


def planned(source: Path, options: SourceOptions | None = None, seconds: float = 0.3) -> tuple[Manifest, Parts]:
    manifest, slices = plan_of(source, seconds, options)
    return manifest, [list(part) for part in slices]


def following(manifest: Manifest, parts: Parts, index: int, count: int) -> list[tuple[Chunk, list[int]]]:
    """The next frames after a chunk, by the chunks that they belong to."""
    found = []
    for chunk, pts in list(zip(manifest.chunks, parts, strict=True))[index + 1 :]:
        found.append((chunk, pts[:count]))
        count -= len(pts)
        if count <= 0:
            break
    return found


def seen(one: Decoded) -> tuple[int | None, bytes, bool]:
    return one.frame.pts, planes_of(one.frame)[0].tobytes(), one.black


def check_beyond(source: Path, manifest: Manifest, parts: Parts, counts: tuple[int, ...], *, blackout: bool) -> None:
    """Compare what each chunk decodes past its end with the chunks' own frames."""
    video, picked = manifest.source.video, manifest.picked
    own = [
        [seen(one) for one in decode_chunk(source, video, chunk, pts, picked=picked, blackout=blackout)]
        for chunk, pts in zip(manifest.chunks, parts, strict=True)
    ]
    for index, (chunk, pts) in enumerate(zip(manifest.chunks, parts, strict=True)):
        for count in counts:
            beyond = following(manifest, parts, index, count)
            found = decode_chunk(source, video, chunk, pts, picked=picked, blackout=blackout, beyond=beyond)
            later = [one for part in own[index + 1 :] for one in part]
            assert [seen(one) for one in found] == own[index] + later[:count]


@pytest.mark.parametrize("blackout", [False, True])
@pytest.mark.parametrize("name", CLIPS)
def test_frames_beyond_the_end_are_the_next_chunks_own(name: str, blackout: bool, clips: Path) -> None:
    source = rendered(clips / name, *PICTURE, *CLIPS[name])
    manifest, parts = planned(source)
    assert len(manifest.chunks) >= 4 or name == "bare.h264"  # of which frames are counted: one chunk
    check_beyond(source, manifest, parts, (1, 8, 30), blackout=blackout)


@pytest.mark.parametrize("options", [{"fps": 5}, {"every": 0.6}, {"start": 0.3, "end": 1.7}])
@pytest.mark.parametrize("name", ["open.ts", "vfr.mp4", "bare.h264"])
def test_beyond_the_end_of_a_part_or_a_sample(name: str, options: dict[str, float], clips: Path) -> None:
    source = rendered(clips / name, *PICTURE, *CLIPS[name])
    check_beyond(source, *planned(source, SourceOptions(**options)), (1, 3, 8), blackout=False)  # type: ignore[arg-type]


@pytest.mark.footage
@pytest.mark.parametrize("name", ["derived/vfr.mp4", "derived/opengop_bpyramid.mp4", "derived/ts_offset_1h.ts"])
def test_beyond_the_end_in_real_footage(footage: Path, name: str) -> None:
    source = footage / "videos" / name
    check_beyond(source, *planned(source), (8,), blackout=False)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [name for name in CLIPS if name != "bare.h264"])
def test_what_is_black_in_a_damaged_source_is_so_in_every_chunk(
    name: str, seed: int, clips: Path, tmp_path: Path
) -> None:
    source, chance = rendered(clips / name, *PICTURE, *CLIPS[name]), random.Random(f"{name}{seed}")
    content = bytearray(source.read_bytes())
    for _ in range(3):
        at = chance.randrange(len(content) // 10, len(content))
        content[at : at + 20] = chance.randbytes(min(20, len(content) - at))
    spoilt = tmp_path / name
    spoilt.write_bytes(content)
    try:
        manifest, parts = planned(spoilt, SourceOptions(on_undetectable="blackout"))
    except SourceError:
        return
    check_beyond(spoilt, manifest, parts, (8, 20), blackout=True)


def test_damage_behind_the_end_is_an_error_after_the_chunks_own_frames(green_clip: GreenClip, tmp_path: Path) -> None:
    source = damaged(green_clip(), tmp_path / "damaged.mp4", packet=14, at=0.5)
    manifest, parts = planned(source)
    video, chunk = manifest.source.video, manifest.chunks[0]
    frames = decode_chunk(source, video, chunk, parts[0], beyond=following(manifest, parts, 0, 10))
    assert [one.frame.pts for one in islice(frames, len(parts[0]))] == parts[0]
    with pytest.raises(SourceError, match=r"damaged\.mp4: .*(damaged|cannot be decoded|missing)"):
        list(frames)
    frames = decode_chunk(source, video, chunk, parts[0], blackout=True, beyond=following(manifest, parts, 0, 10))
    found = [one.black for one in frames]
    assert len(found) == len(parts[0]) + 10
    assert any(found)
    assert not any(found[: len(parts[0])])


def test_an_order_names_the_frames_beyond_its_chunk(bench: MakeBench, green_clip: GreenClip) -> None:
    made = bench(green_clip(), 0.4)
    times = [pts for part in made.pts for pts in part]
    for index, chunk in enumerate(made.manifest.chunks):
        plan = read_plan(made.order("detect", index), made.store)
        begin = made.manifest.frames_before(index)
        assert times[begin] == made.pts[index][0]
        for count in (0, 1, 15, 100):
            beyond = plan.following(count)
            assert [p for _, pts in beyond for p in pts] == times[begin + chunk.frames :][:count]
            found = [one.frame.pts for one in plan.decoded(plan.pts(chunk), 1, Spent(), beyond)]
            assert found == times[begin:][: chunk.frames + count]
