"""One source on its way through planning, encoding, composing and verifying, for the tests of these."""

import subprocess
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import av

from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import Chunk, Manifest
from farm.domain.options import ComposeOptions, RedactOptions
from farm.domain.sound import SoundSpan
from farm.executables import find_ffmpeg
from farm.media.composing.compose import compose
from farm.media.composing.containers import container_for, default_container
from farm.media.composing.needs import Needs
from farm.media.composing.redacted import RedactedStream
from farm.media.composing.streams import USUAL
from farm.media.encoding.encode import SegmentWriter
from farm.media.progress import Progress, no_progress
from farm.media.reading.opening import open_source
from farm.media.reading.unpacking import unpacked
from farm.media.reading.videos import is_cover_art
from farm.media.verifying.comparison import Comparison
from farm.media.verifying.fidelity import Samples
from farm.media.verifying.verify import verify_output
from farm.media.verifying.verify_segment import verify_segment
from tests.planned import plan_of

Rendered = Callable[..., Path]
PICTURE = "testsrc2=size=160x120:rate=30:duration=3"
X264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "20", "-keyint_min", "20", "-bf", "3"]
VP8 = ["-c:v", "libvpx", "-threads", "1"]  # with more, libvpx may wait for itself without end on busy cores
VFR = "setpts='N*3000+mod(N*N,7)*211'"


def with_sound(codec: str = "aac", rate: int = 44100) -> list[str]:
    return ["-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", f"sine=sample_rate={rate}:duration=3", "-c:a", codec]


CLIPS: dict[str, list[str]] = {
    "cfr.mp4": [*with_sound(), *X264],
    "late.mp4": [*with_sound("aac", 48000), *X264, "-output_ts_offset", "7.3", "-movflags", "+frag_keyframe"],
    "vfr.mp4": ["-f", "lavfi", "-i", PICTURE, "-vf", f"settb=1/90000,{VFR}", *X264, "-fps_mode", "passthrough",
                "-enc_time_base", "1/90000", "-video_track_timescale", "90000"],
    "open_gop.mp4": [*with_sound(), *X264, "-x264-params", "open-gop=1:b-pyramid=normal:scenecut=0"],
    "hour.ts": [*with_sound(), *X264, "-output_ts_offset", "3600"],
    "zero.ts": [*with_sound("ac3"), *X264, "-muxdelay", "0", "-muxpreload", "0"],
    "colour.mkv": [*with_sound("libopus", 48000), *X264, "-pix_fmt", "yuvj420p", "-vf",
                   "setsar=4/3,setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"],
    "hevc.mp4": ["-f", "lavfi", "-i", PICTURE, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
                 "log-level=error:keyint=20", "-tag:v", "hvc1"],
    "motion.avi": ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=24000/1001:duration=2", "-f", "lavfi", "-i",
                   "sine=duration=2", "-c:v", "mjpeg", "-c:a", "pcm_s16le"],
}  # fmt: skip


@dataclass
class Trip:
    """One source, its plan, and its segments."""

    source: Path
    manifest: Manifest
    pts: list["array[int]"]
    settings: EncoderSettings
    segments: list[Path]
    out: Path
    options: ComposeOptions = USUAL
    sound: tuple[SoundSpan, ...] = ()
    redacted: Mapping[int, RedactedStream] = field(default_factory=dict)

    def chunk_pts(self, chunk: Chunk) -> "array[int]":
        return self.pts[chunk.index]

    def compose(self, progress: Progress = no_progress, *, ffmpeg: Path | None = None) -> tuple[str, ...]:
        """``ffmpeg``: a program in place of the wheel's."""
        needs = Needs(self.settings.codec, self.manifest.source.video.time_base)
        container = container_for(self.out.suffix, self.manifest.source.container, needs, "")
        parts = (self.source, self.manifest, self.chunk_pts, self.segments, self.settings)
        program = ffmpeg or find_ffmpeg().path
        return compose(
            *parts, self.out, container, ffmpeg=program, progress=progress, options=self.options, sound=self.sound,
            redacted=self.redacted,
        )  # fmt: skip

    def verify(self, progress: Progress = no_progress) -> int:
        parts = (self.source, self.manifest, self.chunk_pts, self.out, self.segments, self.settings)
        return verify_output(*parts, self.options, self.sound, redacted=self.redacted, threads=2, progress=progress)


def rendered(path: Path, *arguments: str) -> Path:
    """A clip that ffmpeg makes, once."""
    if not path.exists():
        command = [str(find_ffmpeg().path), "-nostdin", "-v", "error", *arguments, str(path)]
        subprocess.run(command, check=True, capture_output=True)
    return path


def decoded(trip: Manifest, path: Path, chunk: Chunk) -> Iterator[av.VideoFrame]:
    """From the beginning: slow, and free of any seeking that these tests are not about."""
    with open_source(path) as container:
        stream = container.streams[trip.source.video.index]
        for number, frame in enumerate(container.decode(stream)):
            assert isinstance(frame, av.VideoFrame)
            if is_cover_art(stream):
                frame.pts, frame.time_base = number, trip.source.video.time_base
            if frame.pts is not None and chunk.pts_start <= frame.pts < chunk.pts_end:
                yield unpacked(frame, trip.source.video.codec)


def start(source: Path, folder: Path, threads: tuple[int, ...] = (1, 2), redact: RedactOptions | None = None) -> Trip:
    """Plans a source in chunks of about 0.7 s and encodes each, with different numbers of threads; its further videos
    and covers too.
    """
    trip = _start(source, folder, threads, redact)
    others = [other.index for other in trip.manifest.source.others if other.redacted]
    trip.redacted = {index: _companion(source, folder / str(index), index) for index in others}
    return trip


def _companion(source: Path, folder: Path, index: int) -> RedactedStream:
    folder.mkdir()
    trip = _start(source, folder, (1,), None, index)
    trip.out = folder / "out.mov"
    trip.compose()
    trip.verify()
    return RedactedStream(trip.out, trip.manifest)


def _start(
    source: Path, folder: Path, threads: tuple[int, ...], redact: RedactOptions | None, index: int | None = None
) -> Trip:
    usual = RedactOptions(preset="ultrafast" if source.name.startswith("hevc") else "veryfast")
    manifest, pts = plan_of(source, 0.7, redact=redact or usual, workers=2, index=index)
    video, settings = manifest.source.video, manifest.encoder
    segments = []
    for chunk in manifest.chunks:
        path = folder / f"{chunk.name}.seg"
        with SegmentWriter(path, settings, threads[chunk.index % len(threads)]) as writer:
            samples = Samples(chunk.frames, settings)
            for number, frame in enumerate(decoded(manifest, source, chunk)):
                samples.offer(number, frame, ())
                writer.write(frame)
        assert verify_segment(path, pts[chunk.index], settings, threads=2, samples=samples) == chunk.frames
        segments.append(path)
    _, suffix, _ = default_container(manifest.source.container, Needs("h264", video.time_base), source.suffix)
    return Trip(source, manifest, list(pts), settings, segments, folder / f"out{suffix}")


def verdicts(found: Comparison, verdict: str = "failed") -> dict[str, str]:
    """The findings with a verdict: their texts by name."""
    return {f.name: f.text for f in found.findings if f.verdict == verdict}


def ffmpeg(first: Path, *arguments: str | Path) -> None:
    run("-i", first, *arguments[:-1], "-c", "copy", arguments[-1])


def run(*words: str | Path) -> None:
    """The program ffmpeg with these words."""
    command = [find_ffmpeg().path, "-nostdin", "-y", "-v", "error", *words]
    subprocess.run([str(word) for word in command], check=True)
