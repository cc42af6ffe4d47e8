"""``--crf auto``: chunks that are encoded apart, each as large as in the source, join into a video of its bitrate."""

import subprocess
from dataclasses import replace
from pathlib import Path

import av
import pytest

from farm.domain.options import RedactOptions, SourceOptions
from farm.executables import find_ffmpeg
from tests.integration.workers.conftest import GreenClip, MakeBench, StubTools
from tests.planned import plan_of
from workers.stages.compose import run as run_compose
from workers.stages.redact import run as run_redact


def video_size(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(packet.size for packet in container.demux(video=0))


@pytest.mark.parametrize(
    ("codec", "suffix", "quality"),
    [
        ("libx264", ".mp4", ("-crf", "30")),
        ("libx265", ".mp4", ("-crf", "30", "-x265-params", "log-level=error")),
        ("libvpx-vp9", ".webm", ("-crf", "40", "-b:v", "0", "-cpu-used", "5")),
        ("mpeg2video", ".ts", ("-q:v", "8", "-g", "10")),
        ("mpeg4", ".mp4", ("-q:v", "8", "-g", "10")),
    ],
)
def test_the_output_is_as_large_as_the_source(
    bench: MakeBench, green_clip: GreenClip, tmp_path: Path, codec: str, suffix: str, quality: tuple[str, ...]
) -> None:
    source = tmp_path / f"source{suffix}"
    command = [str(find_ffmpeg().path), "-nostdin", "-v", "error", "-i", str(green_clip(frames=100)), "-r", "25"]
    subprocess.run([*command, "-c:v", codec, *quality, "-g", "25", str(source)], check=True)
    default = bench(source, 1.0)
    made = bench(source, 1.0, redact=RedactOptions(crf="auto"))
    assert sum(chunk.size for chunk in made.manifest.chunks) == video_size(source)
    for number, bench_ in enumerate((default, made)):
        segments = []
        for chunk in range(len(bench_.manifest.chunks)):
            reports: list[int] = []
            tracks = bench_.tracks(chunk, bench_.detections(bench_.detect(chunk)))
            order = bench_.order("redact", chunk, (tracks,))
            segments.append(run_redact(order, bench_.store, StubTools(), reports.append).artefact)
            assert reports == sorted(reports)
            assert max(reports) == bench_.manifest.chunks[chunk].frames
        container = {".mp4": "mp4", ".ts": "mpegts", ".webm": "webm"}[suffix]
        order = bench_.order("compose", 0, tuple(segments), container)
        output = run_compose(order, bench_.store, StubTools(), lambda _: None).artefact
        with bench_.store.fetch(output.key) as path:
            share = video_size(path) / video_size(source)
        assert share > 1.15 if number == 0 else abs(share - 1) < 0.1, (number, share)


def test_a_part_aims_at_the_bitrate_of_the_whole(green_clip: GreenClip) -> None:
    """It may begin behind a key frame: what its own packets hold is not what it takes."""
    source = green_clip(frames=100)
    manifest, _ = plan_of(source, 1.0, SourceOptions(start=1.0, end=3.0))
    assert sum(chunk.size for chunk in manifest.chunks) == pytest.approx(video_size(source) / 2, rel=0.02)
    sampled, _ = plan_of(source, 1.0, SourceOptions(fps=5))
    assert sum(chunk.size for chunk in sampled.chunks) == pytest.approx(video_size(source), rel=0.02)


def test_without_it_the_headers_would_differ(green_clip: GreenClip, bench: MakeBench) -> None:
    """x264 states its quality in a header that all segments have to share."""
    made = bench(green_clip(), redact=RedactOptions(crf="auto"))
    parameters = made.manifest.encoder.options["x264-params"]
    assert "stitchable=1" in parameters.split(":")
    usual = bench(green_clip(), redact=RedactOptions())
    assert replace(made.manifest.encoder, options=usual.manifest.encoder.options) == usual.manifest.encoder
