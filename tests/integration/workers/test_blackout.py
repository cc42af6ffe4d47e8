"""With ``--on-undetectable blackout``: black from the damage to the next key frame, the rest as it was."""

import random
from pathlib import Path

import av
import pytest

from farm.domain.manifest import Chunk, Manifest
from farm.domain.options import SourceOptions
from farm.errors import SourceError
from farm.media.planes import planes_of
from farm.media.reading.chunk import Decoded, decode_chunk
from tests.integration.trips import rendered
from tests.integration.workers.conftest import GreenClip
from tests.planned import plan_of

BLACKOUT = SourceOptions(on_undetectable="blackout")
CLIPS = {
    "h264.mp4": ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "12", "-bf", "2", "-x264-params", "scenecut=0"],
    "h264.ts": ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "12", "-bf", "2", "-x264-params", "open-gop=1"],
    "hevc.mkv": ["-c:v", "libx265", "-pix_fmt", "yuv420p", "-x265-params", "log-level=none:keyint=12:open-gop=1"],
    "vp9.webm": ["-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p", "-g", "12", "-deadline", "realtime", "-cpu-used", "8"],
    "mpeg2.ts": ["-c:v", "mpeg2video", "-g", "12", "-bf", "2"],
    "mjpeg.avi": ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"],
    "ffv1.mkv": ["-c:v", "ffv1", "-pix_fmt", "yuv420p"],
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blackout")


def clip(clips: Path, name: str) -> Path:
    return rendered(clips / name, "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24:duration=2", *CLIPS[name])


def decoded(source: Path, manifest: Manifest, parts: list[list[int]], *, blackout: bool = True) -> list[Decoded]:
    return [
        one
        for chunk, pts in zip(manifest.chunks, parts, strict=True)
        for one in decode_chunk(source, manifest.source.video, chunk, pts, blackout=blackout)
    ]


def plan(source: Path, seconds: float = 0.9) -> tuple[Manifest, list[list[int]]]:
    manifest, parts = plan_of(source, seconds, BLACKOUT)
    return manifest, [list(part) for part in parts]


def luma(one: Decoded) -> bytes:
    return planes_of(one.frame)[0].tobytes()


def packets(source: Path) -> list[tuple[int, int, int, bool]]:
    """Place, size, pts and key flag of the video's packets, in decoding order."""
    with av.open(str(source)) as container:
        return [(p.pos or 0, p.size, p.pts or 0, p.is_keyframe) for p in container.demux(video=0) if p.size]


@pytest.mark.parametrize("name", CLIPS)
def test_without_damage_nothing_is_black(name: str, clips: Path) -> None:
    source = clip(clips, name)
    manifest, parts = plan(source)
    found, strict = decoded(source, manifest, parts), decoded(source, manifest, parts, blackout=False)
    assert not any(one.black for one in found)
    assert [(one.frame.pts, luma(one)) for one in found] == [(one.frame.pts, luma(one)) for one in strict]
    assert [one.frame.pts for one in found] == [p for part in parts for p in part]


@pytest.mark.parametrize("packet", [0, 5, 14, 22])
def test_from_the_damaged_packet_to_the_next_key_frame_all_is_black(
    green_clip: GreenClip, tmp_path: Path, packet: int
) -> None:
    """In decoding order: what is shown before the damaged frame, but predicted from it, is black as well."""
    source = green_clip()
    whole = {one.frame.pts: luma(one) for one in decoded(source, *plan(source))}
    order = packets(source)
    position, size, _, _ = order[packet]
    content = bytearray(source.read_bytes())
    content[position + size * 9 // 10 : position + size * 9 // 10 + 8] = b"\x5a" * 8
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    following = next(at for at in range(packet + 1, len(order)) if order[at][3])
    manifest, parts = plan(damaged, 100)
    found = decoded(damaged, manifest, parts)
    assert [one.frame.pts for one in found] == list(whole)
    assert {one.frame.pts for one in found if one.black} == {pts for _, _, pts, _ in order[packet:following]}
    assert all(luma(one) == whole[one.frame.pts] for one in found if not one.black)
    with pytest.raises(SourceError, match=r"damaged|missing|cannot be decoded"):
        decoded(damaged, manifest, parts, blackout=False)


def test_what_leads_the_next_key_frame_is_black_with_the_group_before(clips: Path, tmp_path: Path) -> None:
    """An open group: pictures coded behind a key frame, shown before it, are predicted from the damaged ones, too."""
    picture = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24:duration=2"]
    source = rendered(clips / "open.mkv", *picture, *CLIPS["h264.mp4"][:-1], "open-gop=1:b-adapt=0:scenecut=0")
    order = packets(source)
    key = [at for at, packet in enumerate(order) if packet[3]][2]
    leading = [pts for _, _, pts, _ in order[key:] if pts < order[key][2]]
    assert leading
    content = source.read_bytes()
    with av.open(str(source)) as container:
        before = bytes([p for p in container.demux(video=0) if p.size][key - 1])
    spoilt = before[: len(before) // 2] + b"\x5a" * (len(before) - len(before) // 2)
    content = content.replace(before, spoilt)
    damaged = tmp_path / "damaged.mkv"
    damaged.write_bytes(content)
    found = decoded(damaged, *plan(damaged, 100))
    assert [one.frame.pts for one in found if one.black] == sorted([order[key - 1][2], *leading])


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
@pytest.mark.parametrize("name", ["h264.ts", "hevc.mkv", "mjpeg.avi", "mpeg2.ts"])
def test_of_a_truncated_file_what_is_in_it_is_planned(name: str, share: float, clips: Path, tmp_path: Path) -> None:
    source, part = clip(clips, name), tmp_path / name
    part.write_bytes(source.read_bytes()[: int(source.stat().st_size * share) + 50])
    with pytest.raises(SourceError, match=r"cut off|damaged|cannot be read"):
        plan_of(part, 0.9)
    manifest, parts = plan(part)
    whole = {one.frame.pts: luma(one) for one in decoded(source, *plan(source))}
    found = decoded(part, manifest, parts)
    assert 0.5 * share < len(found) / len(whole) <= 1
    assert any("cut off" in note or "damaged" in note for note in manifest.notes)
    sound = [one for one in found if not one.black]
    assert len(sound) >= len(found) - 14
    assert all(luma(one) == whole[one.frame.pts] for one in sound)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", CLIPS)
def test_whatever_is_in_the_file_the_frames_are_the_planned_ones(
    name: str, seed: int, clips: Path, tmp_path: Path
) -> None:
    """Flipped bits and garbage: refused while planning, or as many frames as planned, at their times."""
    source, chance = clip(clips, name), random.Random(f"{name}{seed}")
    content = bytearray(source.read_bytes())
    for _ in range(3):
        at = chance.randrange(len(content) // 10, len(content))
        content[at : at + 40] = chance.randbytes(min(40, len(content) - at))
    damaged = tmp_path / name
    damaged.write_bytes(content)
    try:
        manifest, parts = plan(damaged)
    except SourceError:
        return
    for one, pts in zip(decoded(damaged, manifest, parts), [p for part in parts for p in part], strict=True):
        assert one.frame.pts == pts
        assert (one.frame.width, one.frame.height) == (96, 64)


def test_a_chunk_that_is_not_there_at_all_is_black(green_clip: GreenClip) -> None:
    source = green_clip()
    manifest, _ = plan(source)
    times = [10**9, 10**9 + 1]
    chunk = Chunk(0, 0, times[0], times[1] + 1, 2, times[0])
    found = list(decode_chunk(source, manifest.source.video, chunk, times, blackout=True))
    assert [(one.frame.pts, one.black) for one in found] == [(times[0], True), (times[1], True)]


def test_another_size_is_black_up_to_where_it_is_the_planned_one_again(clips: Path, tmp_path: Path) -> None:
    """Named with its time and both sizes where black was not asked for."""
    joined = tmp_path / "all.mjpeg"
    for number, size in enumerate(("96x64", "64x48", "96x64")):
        picture = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=24:duration=0.5"]
        part = rendered(tmp_path / f"{number}.mjpeg", *picture, *CLIPS["mjpeg.avi"], "-f", "mjpeg")
        with joined.open("ab") as out:
            out.write(part.read_bytes())
    source = rendered(tmp_path / "all.mkv", "-f", "mjpeg", "-framerate", "24", "-i", str(joined), "-c", "copy")
    manifest, parts = plan(source, 100)
    found = decoded(source, manifest, parts)
    assert [one.black for one in found] == [False] * 12 + [True] * 12 + [False] * 12
    with pytest.raises(SourceError, match=r"all.mkv: the frame at \S+ s \(pts \d+\) is 64x48, not 96x64"):
        decoded(source, manifest, parts, blackout=False)


@pytest.mark.footage
@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("derived/bad_midfile_garbage.mp4", 5, 60), ("androidx/sample_with_invalid_nalu.mp4", 1, 29),
     ("derived/bad_truncated.mkv", 0, 2), ("derived/bad_truncated_faststart.mp4", 1, 30)],
)  # fmt: skip
def test_damaged_footage(footage: Path, name: str, least: int, most: int) -> None:
    source = footage / "videos" / name
    manifest, parts = plan(source)
    found = decoded(source, manifest, parts)
    assert [one.frame.pts for one in found] == [p for part in parts for p in part]
    assert least <= sum(one.black for one in found) <= most
