"""Sources with packed, palette and big-endian samples on their way through the pipeline."""

import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from farm.executables import find_ffmpeg
from farm.media.reading.chunk import decode_chunk
from farm.media.verifying.comparing import compare
from tests.integration.trips import Rendered, start, verdicts
from tests.planned import plan_of

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=62x46:rate=10:duration=1")
RAW = ("-c:v", "rawvideo", "-pix_fmt")
CASES = [
    ("screen.avi", (*RAW, "uyvy422"), "rawvideo", "yuv422p", "yuv422p"),
    ("capture.avi", (*RAW, "yuyv422"), "rawvideo", "yuv422p", "yuv422p"),
    ("dots.avi", (*RAW, "rgb555le"), "rawvideo", "gbrp", "bgr0"),
    ("dots.nut", (*RAW, "bgr565be"), "rawvideo", "gbrp", "bgr0"),
    ("index.avi", (*RAW, "pal8"), "rawvideo", "gbrp", "bgr0"),
    ("semi.nut", (*RAW, "nv12"), "rawvideo", "yuv420p", "yuv420p"),
    ("big.nut", (*RAW, "yuv422p10be"), "rawvideo", "yuv422p10le", "yuv422p10le"),
    ("deep.mov", ("-c:v", "png", "-pix_fmt", "rgb48be"), "png", "gbrp16le", "gbrp16le"),
    ("gray.mkv", ("-c:v", "png", "-pix_fmt", "ya8"), "png", "yuva444p", "yuva444p"),
    ("high.mov", ("-c:v", "qtrle", "-pix_fmt", "rgb555be"), "qtrle", "gbrp", "bgr0"),
    ("scan.mov", ("-c:v", "tiff", "-compression_algo", "raw", "-pix_fmt", "rgb24"), "tiff", "rgb24", "bgr0"),
    ("scan.mkv", ("-c:v", "tiff", "-compression_algo", "lzw", "-pix_fmt", "gray"), "tiff", "gray", "gray"),
    ("fax.mkv", ("-c:v", "png", "-pix_fmt", "monob"), "png", "gray", "gray"),
]


def _samples(path: Path, layout: str) -> bytes:
    """All samples as the ffmpeg program decodes them."""
    command = [find_ffmpeg().path, "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", layout, "-"]
    return subprocess.run([str(word) for word in command], check=True, capture_output=True).stdout


@pytest.mark.parametrize(("name", "words", "codec", "planned", "held"), CASES)
def test_what_is_packed_keeps_its_samples(
    render: Rendered, tmp_path: Path, name: str, words: tuple[str, ...], codec: str, planned: str, held: str
) -> None:
    source = render(name, *PICTURE, *words)
    trip = start(source, tmp_path)
    assert (trip.manifest.source.video.codec, trip.manifest.source.video.pix_fmt) == (codec, planned)
    assert (trip.settings.codec, trip.settings.pix_fmt) == ("ffv1", held)
    trip.compose()
    assert trip.verify() == 10
    assert verdicts(compare(source, trip.out)) == {}
    # back in the source's own format; into the others ffmpeg dithers
    if words[-1] not in ("pal8", "rgb555le", "bgr565be", "rgb555be", "ya8", "monob"):
        assert _samples(trip.out, words[-1]) == _samples(source, words[-1])


def test_an_output_of_other_samples_fails(render: Rendered, tmp_path: Path) -> None:
    source = render("screen.avi", *PICTURE, *RAW, "uyvy422")
    dull = render("dull.mkv", "-i", str(source), "-vf", "negate", "-pix_fmt", "yuv422p", "-c:v", "ffv1")
    assert "picture" in verdicts(compare(source, dull))


@pytest.mark.parametrize("name", ["each.avi", "each.nut", "each.mov", "once.mov"])
def test_palettes_that_change_are_those_of_each_frame(render: Rendered, name: str) -> None:
    """Most formats store a palette once, in front of a frame: after a seek there would be none, or an old one."""
    new = ("-vf", "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1,format=pal8")
    codec = ("-c:v", {"each.mov": "png", "once.mov": "qtrle"}[name]) if name.endswith("mov") else ("-c:v", "rawvideo")
    source = render(name, *PICTURE, *new, *codec, "-pix_fmt", "pal8")
    with av.open(str(source)) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    manifest, pts = plan_of(source, 0.3)
    assert (len(manifest.chunks) > 1) == (name == "each.mov")
    found = [
        one.frame.to_ndarray(format="rgb24")
        for chunk in manifest.chunks
        for one in decode_chunk(source, manifest.source.video, chunk, pts[chunk.index])
    ]
    assert len(found) == len(shown) == 10
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found, shown, strict=True))
