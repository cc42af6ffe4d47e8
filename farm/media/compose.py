"""Builds the output: the segments' video, and everything else of the source as it is."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from av.container import InputContainer
from av.stream import Disposition

from farm.domain.manifest import Manifest, OtherStream
from farm.errors import FarmError, SourceError, VerificationError
from farm.media.arguments import ComposeInputs, Cover, compose_arguments
from farm.media.containers import plan_streams
from farm.media.encode import EncoderSettings
from farm.media.failing import reading, write_error, writing
from farm.media.ffmpeg import ffmpeg_binary
from farm.media.opening import open_source
from farm.media.progress import Progress, nobody, part
from farm.media.remux import ChunkPts, join_segments

_PICTURES = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}
_POLL = 1.0  # seconds between two looks at how far ffmpeg is
_SAID = 65_536  # bytes of ffmpeg's last words


@dataclass(frozen=True, slots=True)
class ComposeReport:
    """``notes``: what a person should know of the output, a line each (streams that were left out)."""

    notes: tuple[str, ...]


def compose(
    source: Path,
    manifest: Manifest,
    chunk_pts: ChunkPts,
    segments: Sequence[Path],
    settings: EncoderSettings,
    out: Path,
    container: str,
    *,
    progress: Progress = nobody,
) -> ComposeReport:
    """Writes ``out`` (a temporary path; never the final name) from segments, one a chunk in order, and the source.

    The video is joined exactly into a file beside ``out`` that is removed again; ffmpeg then copies it and the
    source's other streams, once. ``container``: from :func:`farm.media.containers.container_for`.
    ``progress`` is called with a number that rises from 0 to the video's frames, at least every second or two.
    Raises VerificationError for segments that do not fit, OutputError with ffmpeg's last line, StorageError when the
    disk is full, and whatever ``progress`` raises; then ffmpeg is ended and nothing is left.
    The caller verifies the output (:func:`farm.media.verify.verify_output`) before anyone sees it.
    """
    if settings.time_base != manifest.source.video.time_base:
        raise VerificationError("the segments' time base is not the source's")
    frames = manifest.frames
    with _workspace(out) as (joined, folder):
        join_segments(manifest, chunk_pts, segments, joined, part(progress, frames, 0, 2))
        inputs, notes = _inputs(source, manifest, joined, container, folder)
        copying = _Copying(out, _to_write(joined, source, container), frames, part(progress, frames, 1, 2))
        copying.run(compose_arguments(inputs, container, out))
    return ComposeReport(notes)


def left_out(source: Path, manifest: Manifest, container: str) -> tuple[str, ...]:
    """A line for each stream of a source that an output in ``container`` lacks. Raises SourceError."""
    with open_source(source) as opened:
        return plan_streams(manifest.source.others, container, chapters=bool(opened.chapters())).notes


@contextmanager
def _workspace(out: Path) -> Iterator[tuple[Path, Path]]:
    """Where the joined video goes, beside the output on the same disk, and a folder for covers; removed at the end."""
    joined = out.with_name(f".{out.name}.video")
    with writing(out):
        folder = tempfile.TemporaryDirectory(prefix="blurfarm-")
    try:
        with folder as name:
            yield joined, Path(name)
    finally:
        joined.unlink(missing_ok=True)


def _inputs(
    source: Path, manifest: Manifest, joined: Path, container: str, folder: Path
) -> tuple[ComposeInputs, tuple[str, ...]]:
    with open_source(source) as opened, reading(source, SourceError, "cannot be read"):
        chapters = bool(opened.chapters())
        plan = plan_streams(manifest.source.others, container, chapters=chapters)
        attached = [o for o in plan.kept if container == "matroska" and o.kind == "cover"]
        inputs = ComposeInputs(
            video=joined,
            path=source,
            source=manifest.source,
            kept=tuple(o for o in plan.kept if o not in attached),
            covers=tuple(_covers(opened, attached, folder)),
            dispositions=tuple((s.index, _flags(s.disposition)) for s in opened.streams),
            rates=tuple(s.time_base.denominator for s in opened.streams.audio if s.time_base),
            chapters=chapters,
        )
    return inputs, plan.notes


def _flags(disposition: Disposition) -> str:
    """FFmpeg's way to write dispositions, for example ``default+forced``."""
    return "+".join(flag.name or "" for flag in Disposition if flag in disposition)


def _covers(container: InputContainer, covers: Sequence[OtherStream], folder: Path) -> Iterator[Cover]:
    """Writes each cover's picture to a file, which ffmpeg attaches."""
    for number, other in enumerate(covers, start=1):
        stream = container.streams[other.index]
        container.seek(0)
        for packet in container.demux(stream):
            suffix, mimetype = _PICTURES.get(other.codec, (other.codec, f"image/{other.codec}"))
            names = {key.lower(): value for key, value in stream.metadata.items()}
            path = folder / f"cover{number}.{suffix}"
            path.write_bytes(bytes(packet))
            yield Cover(path, names.get("filename") or f"cover.{suffix}", names.get("mimetype") or mimetype)
            break


def _to_write(joined: Path, source: Path, container: str) -> int:
    """About how many bytes ffmpeg will write, rather too many: in MP4 it moves everything once more at the end."""
    with reading(source, SourceError, "cannot be read"):
        both = joined.stat().st_size + source.stat().st_size
    return both * 2 if container in ("mp4", "mov") else both


class _Copying:
    """One run of ffmpeg, watched: it says nothing itself while it moves an MP4 file's index to the front."""

    def __init__(self, out: Path, expected: int, frames: int, progress: Progress) -> None:
        self._out = out
        self._expected = max(expected, 1)
        self._frames = frames
        self._progress = progress

    def run(self, arguments: Sequence[str]) -> None:
        """Runs it to its end. Raises StorageError when the disk is full, else OutputError with its last line."""
        command = [str(ffmpeg_binary()), *arguments]
        with writing(self._out), tempfile.TemporaryFile() as said:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
            try:
                self._watch(process)
            except BaseException:
                process.kill()
                process.wait()
                self._out.unlink(missing_ok=True)
                raise
            if process.returncode:
                said.seek(max(0, said.seek(0, os.SEEK_END) - _SAID))
                raise self._error(process.returncode, said.read().decode(errors="replace"))

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL)
                return
            self._progress(min(self._frames, self._frames * self._written(process.pid) // self._expected))

    def _written(self, pid: int) -> int:
        """Bytes written so far; the output's size where the system does not count them for us."""
        try:
            return int(psutil.Process(pid).io_counters().write_chars)
        except (psutil.Error, AttributeError):
            return self._out.stat().st_size if self._out.exists() else 0

    def _error(self, status: int, said: str) -> FarmError:
        text = [line.strip() for line in said.split("\n") if line.strip()]
        full = next((line for line in text if "No space left" in line or "File too large" in line), None)
        last = text[-1] if text else f"it ended with status {status} and said nothing"
        self._out.unlink(missing_ok=True)
        return write_error(self._out, None, full or f"ffmpeg: {last}")
