"""How long the last frame is shown: what the source's track says, in any container that can say it."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from farm.errors import VerificationError
from farm.media.reading.stream_details import track_ends
from tests.integration.trips import Rendered, start

#: B-frames of different lengths: the packet decoded last is not the one shown last.
UNEVEN = ("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=30:duration=1", "-vf",
          "settb=1/90000,setpts='if(lt(N,24),N*3000,N*3000+18000)+mod(N,3)*300'", "-fps_mode", "passthrough",
          "-enc_time_base", "1/90000", "-video_track_timescale", "90000", "-c:v", "libx264", "-bf", "3", "-preset",
          "veryfast")  # fmt: skip


def last(path: Path) -> tuple[int, Fraction]:
    """The pts of the frame shown last, and its tick."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        return max(p.pts for p in container.demux(stream) if p.pts is not None), stream.time_base


@pytest.mark.parametrize("name", ["uneven.mp4", "uneven.mov"])
def test_it_is_what_the_track_says(render: Rendered, tmp_path: Path, name: str) -> None:
    source = render(name, *UNEVEN)
    trip = start(source, tmp_path)
    trip.compose()
    assert trip.verify() == 30
    (said,) = track_ends(source).values()
    (ours,) = track_ends(trip.out).values()
    assert abs(said.seconds - ours.seconds) < said.tick
    pts, tick = last(source)
    assert last(trip.out) == (pts, tick)
    assert trip.manifest.chunks[-1].pts_end > pts


def test_a_copy_that_ends_elsewhere_is_refused(render: Rendered, tmp_path: Path) -> None:
    trip = start(render("uneven.mp4", *UNEVEN), tmp_path)
    trip.compose()
    data = bytearray(trip.out.read_bytes())
    at = data.find(b"elst") + 12
    data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") - 90).to_bytes(4, "big")
    trip.out.write_bytes(data)
    with pytest.raises(VerificationError, match="its last frame is shown until"):
        trip.verify()


def test_matroska_keeps_it_too(render: Rendered, tmp_path: Path) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=12.5:duration=1")
    source = render("even.webm", *picture, "-c:v", "libvpx-vp9", "-deadline", "realtime")
    trip = start(source, tmp_path)
    trip.compose()
    with av.open(str(source)) as one, av.open(str(trip.out)) as other:
        assert one.duration == other.duration
        lasting = [[p.duration for p in c.demux(video=0) if p.size] for c in (one, other)]
    assert lasting[0] == lasting[1]
