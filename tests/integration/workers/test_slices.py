"""FFV1's own check sums: its decoder conceals what they tell, the farm does not."""

from pathlib import Path

import pytest

from farm.errors import SourceError
from farm.media.reading.chunk import decode_chunk
from farm.media.reading.integrity import intact_slices
from tests.integration.trips import rendered
from tests.planned import plan_of

CLIP = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=10:duration=1", "-c:v", "ffv1", "-g", "1", "-write_crc32", "0"]


def clip(folder: Path, checked: int) -> Path:
    """Without Matroska's own check sums only those inside the packets tell."""
    return rendered(folder / "clip.mkv", *CLIP, "-level", "3", "-slices", "4", "-slicecrc", str(checked))


def decoded(source: Path, *, blackout: bool = False) -> list[bool]:
    """For each frame whether it is black."""
    manifest, (pts,) = plan_of(source, None)
    frames = decode_chunk(source, manifest.source.video, manifest.chunks[0], pts, blackout=blackout)
    return [frame.black for frame in frames]


@pytest.mark.parametrize("checked", [0, 1])
def test_intact_frames_are_taken(tmp_path: Path, checked: int) -> None:
    assert decoded(clip(tmp_path, checked)) == [False] * 10


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_one_flipped_bit_is_noticed(tmp_path: Path, share: float) -> None:
    source = clip(tmp_path, 1)
    data = bytearray(source.read_bytes())
    data[int(len(data) * share)] ^= 16
    source.write_bytes(data)
    with pytest.raises(SourceError, match=r"clip\.mkv: cannot be decoded"):
        decoded(source)
    assert sum(decoded(source, blackout=True)) == 1  # every frame is a key frame


def test_what_is_no_chain_of_slices() -> None:
    assert not intact_slices(b"\x00\x00")
    assert not intact_slices(bytes(5) + b"\xff\xff\xff")
