"""Stage link: all detections in order, through the linker, into one artefact of tracks per chunk. Boxes only."""

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from farm.coordinator.tracks import Written, record_written, write_tracks
from farm.database.models import Job
from farm.database.statuses import locked_job
from farm.domain.detection import ChunkDetections, FrameDetections, joined, load_chunk, load_frame
from farm.domain.linker import link
from farm.domain.manifest import Manifest
from farm.domain.options import JobOptions, load_options
from farm.errors import JobFailed, VerificationError
from farm.jobs.context import Context
from farm.messages import Artefact
from farm.storage.base import Storage, opened


def run(
    context: Context, job: Job, manifest: Manifest, inputs: Sequence[Artefact], fingerprint: str
) -> tuple[Sequence[Artefact], list[str]]:
    """Do the stage: link the detections ``inputs``. Returns the tracks of each chunk, and a note on black frames.

    Writes what was found to the job's row. Raises JobFailed for a video without a face where ``link.require_faces`` is
    set, VerificationError, StorageError.
    """
    options = load_options(job.options)
    linked = link_job(context.store, manifest, inputs, fingerprint, options)
    with context.database.write() as session:
        record_written(session, locked_job(session, job.id), linked, context.clock())
    if options.link.require_faces and not linked.found.tracks:
        raise JobFailed(
            f"no face was found in any of the {manifest.frames} frames, and --require-faces was given",
            hint="a larger --detect-size finds smaller faces; without --require-faces the video is written as it is",
        )
    return linked.artefacts, black_notes(linked, manifest)


def black_notes(linked: Written, manifest: Manifest) -> list[str]:
    """A line for the user where there are black frames."""
    if linked.first_black is None:
        return []
    first = float((linked.first_black - manifest.chunks[0].pts_start) * manifest.source.video.time_base)
    frames = "1 frame is" if linked.black == 1 else f"{linked.black} frames are"
    return [
        f"{frames} black because the source could not be decoded there, the first {first:.3f} s after the first frame"
    ]


def link_job(
    store: Storage, manifest: Manifest, detections: Sequence[Artefact], fingerprint: str, options: JobOptions
) -> Written:
    """Link a video. ``detections``: one artefact per chunk, in order; ``fingerprint``: of the tracks.

    Memory does not grow with the length of the video. Raises VerificationError when an artefact is not what was
    reported, DamagedArtefact, StorageError when the store fails.
    """
    frames = joined(_read(store, artefact) for artefact in detections)
    video = manifest.source.video
    linked = link(frames, video.time_base, options.link, (video.width, video.height))
    return write_tracks(store, "link", fingerprint, manifest, [artefact.sha256 for artefact in detections], linked)


def _read(store: Storage, artefact: Artefact) -> tuple[ChunkDetections, Iterator[FrameDetections]]:
    with opened(store, artefact.key) as path:
        chunk = load_chunk(_last_line(path))
    return chunk, _frames(store, artefact, chunk)


def _frames(store: Storage, artefact: Artefact, chunk: ChunkDetections) -> Iterator[FrameDetections]:
    if chunk.frames != artefact.frames:
        raise VerificationError(f"{artefact.key}: {chunk.frames} frames, {artefact.frames} were reported")
    with opened(store, artefact.key) as path, path.open() as lines:
        for line in islice(lines, chunk.frames):
            yield load_frame(line, chunk.aspect)


#: Bytes read from the end of a file, at first, to find its last line.
_TAIL = 65536


def _last_line(path: Path) -> str:
    with path.open("rb") as f:
        size = f.seek(0, os.SEEK_END)
        tail, lines = 0, [b""]
        while len(lines) < 2 and tail < size:  # the last line is as long as what was seen beyond the chunk
            tail = min(size, max(_TAIL, 4 * tail))
            f.seek(size - tail)
            lines = f.read().splitlines()
    return lines[-1].decode()
