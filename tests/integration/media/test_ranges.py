"""The colour range: the tag that a decoder reports is the source's, or a note says why the output has none."""

import subprocess
from pathlib import Path

import av
import pytest

from farm.errors import OutputError
from farm.executables import find_ffmpeg
from farm.media.composing.containers import container_for
from farm.media.composing.needs import Needs
from farm.media.verifying.comparing import compare
from tests.integration.trips import VP8, Rendered, start

pytestmark = pytest.mark.integration

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=0.4")
ENCODERS = {
    "h264": ("-c:v", "libx264", "-preset", "ultrafast"),
    "hevc": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"),
    "vp8": (*VP8, "-deadline", "realtime"),
    "vp9": ("-c:v", "libvpx-vp9", "-deadline", "realtime"),
    "mpeg1video": ("-c:v", "mpeg1video", "-bf", "0"),
    "mpeg2video": ("-c:v", "mpeg2video"),
    "mpeg4": ("-c:v", "mpeg4"),
    "ffv1": ("-c:v", "ffv1"),
    "mjpeg": ("-c:v", "mjpeg", "-strict", "unofficial"),
}
HELD = {
    "mp4": ("h264", "hevc", "vp9", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg"),
    "mov": ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "ffv1", "mjpeg"),
    "mkv": tuple(ENCODERS),
    "webm": ("vp8", "vp9"),
    "ts": ("h264", "hevc", "mpeg2video"),
}


def reported(path: Path) -> int:
    """The range of the first frame as a decoder reports it: 0 not specified, 1 limited, 2 full."""
    with av.open(str(path)) as container:
        return int(next(container.decode(video=0)).color_range)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("suffix", "codec"), [(suffix, codec) for suffix, held in HELD.items() for codec in held])
def test_the_range_is_kept_or_its_loss_is_said(
    render: Rendered, tmp_path: Path, suffix: str, codec: str, full: bool
) -> None:
    word = "pc" if full else "tv"
    filters = ("-vf", f"scale=out_range={word},format=yuv420p", "-color_range", word)
    source = render(f"{codec}_{word}.mkv", *PICTURE, *filters, *ENCODERS[codec])
    trip = start(source, tmp_path)
    video = trip.manifest.source.video
    trip.out = tmp_path / f"out.{suffix}"
    if full and suffix == "mov" and video.full_range and codec in ("mpeg4", "ffv1"):
        with pytest.raises(OutputError, match=r"cannot say that .* uses the full range"):
            container_for(".mov", trip.manifest.source.container, Needs.of(video), ".mkv")
        return
    notes = trip.compose()
    trip.verify()
    kept = reported(trip.out) == reported(source)
    assert kept != any("its colour range is limited" in note for note in notes)
    assert kept or (suffix == "mov" and reported(source) == 1)
    assert compare(source, trip.out).holds


def test_a_lost_tag_is_noticed(render: Rendered, tmp_path: Path) -> None:
    source = render("h264_tagged.mkv", *PICTURE, "-vf", "setparams=range=tv", *ENCODERS["h264"])
    lost = tmp_path / "lost.ts"
    subprocess.run([str(find_ffmpeg().path), "-v", "error", "-i", str(source), "-c", "copy", str(lost)], check=True)
    assert (reported(source), reported(lost)) == (1, 0)
    failed = {finding.name for finding in compare(source, lost).findings if finding.verdict == "failed"}
    assert "colour_range" in failed
