"""Builds the output: the segments' video, and everything else of the source as it is."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer
from av.stream import Disposition

from farm.domain.manifest import Manifest, OtherStream
from farm.errors import SourceError, VerificationError
from farm.media.arguments import ComposeInputs, Cover, compose_arguments
from farm.media.containers import plan_streams
from farm.media.encode import EncoderSettings
from farm.media.failing import reading, write_error, writing
from farm.media.ffmpeg import ffmpeg_binary
from farm.media.opening import open_source
from farm.media.remux import ChunkPts, join_segments

_PICTURES = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}


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
) -> ComposeReport:
    """Writes ``out`` (a temporary path; never the final name) from segments, one a chunk in order, and the source.

    The video is joined exactly into a file beside ``out`` that is removed again; ffmpeg then copies it and the
    source's other streams, once. ``container``: from :func:`farm.media.containers.container_for`.
    Raises VerificationError for segments that do not fit, OutputError with ffmpeg's last line, StorageError when the
    disk is full. The caller verifies the output (:func:`farm.media.verify.verify_output`) before anyone sees it.
    """
    if settings.time_base != manifest.source.video.time_base:
        raise VerificationError("the segments' time base is not the source's")
    with _workspace(out) as (joined, folder):
        join_segments(manifest, chunk_pts, segments, joined)
        inputs, notes = _inputs(source, manifest, joined, container, folder)
        _run_ffmpeg(compose_arguments(inputs, container, out), out)
    return ComposeReport(notes)


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


def _run_ffmpeg(arguments: Sequence[str], out: Path) -> None:
    """Runs ffmpeg to its end. Raises StorageError when the disk is full, else OutputError with its last line."""
    done = subprocess.run(
        [str(ffmpeg_binary()), *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").split("\n")
        text = [line.strip() for line in lines if line.strip()]
        full = next((line for line in text if "No space left" in line or "File too large" in line), None)
        last = text[-1] if text else f"it ended with status {done.returncode} and said nothing"
        raise write_error(out, None, full or f"ffmpeg: {last}")
