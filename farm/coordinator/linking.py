"""Stage link: all detections in order, through the linker, into one artefact of tracks per chunk. Boxes only."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from farm.database.models import Job
from farm.digests import file_digest
from farm.domain.artefacts import artefact_key
from farm.domain.detection import ChunkDetections, FrameDetections, load_chunk, load_frame, with_boundary_cuts
from farm.domain.linker import link
from farm.domain.manifest import Manifest
from farm.domain.options import JobOptions, load_options
from farm.domain.track import dump_frame
from farm.errors import StorageError, VerificationError
from farm.jobs.context import Context
from farm.messages import Artefact
from farm.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Linked:
    """The tracks of each chunk in order, and the numbers of tracks, of frames with a face, and of black frames.

    ``first_black``: the pts of the first black frame.
    """

    artefacts: tuple[Artefact, ...]
    tracks: int
    frames_with_faces: int
    black: int = 0
    first_black: int | None = None


def run(
    context: Context, job: Job, manifest: Manifest, inputs: Sequence[Artefact], fingerprint: str
) -> tuple[Sequence[Artefact], list[str]]:
    """Do the stage: link the detections ``inputs``. Returns the tracks of each chunk, and notes on what was found.

    Raises VerificationError, StorageError.
    """
    linked = link_job(context.store, manifest, inputs, fingerprint, load_options(job.options))
    return linked.artefacts, found_notes(linked, manifest)


def found_notes(linked: Linked, manifest: Manifest) -> list[str]:
    """What was found, for the user: a line on the faces, and one on black frames where there are any."""
    tracks = f"{linked.tracks} track{'' if linked.tracks == 1 else 's'}"
    notes = [f"{tracks}, a face in {linked.frames_with_faces} of {manifest.frames} frames"]
    if linked.first_black is not None:
        begins = manifest.chunks[0].pts_start  # times are relative to it, like those of --start
        first = float((linked.first_black - begins) * manifest.source.video.time_base)
        notes.append(f"frames that cannot be decoded and are black: {linked.black}, the first at {first:.3f} s")
    return notes


def link_job(
    store: Storage, manifest: Manifest, detections: Iterable[Artefact], fingerprint: str, options: JobOptions
) -> Linked:
    """Link a video. ``detections``: one artefact per chunk, in order; ``fingerprint``: of the tracks.

    Memory does not grow with the length of the video. Raises VerificationError when an artefact is not what was
    reported, StorageError when the store fails.
    """
    frames = with_boundary_cuts(_read(store, artefact) for artefact in detections)
    linked = link(frames, manifest.source.video.time_base, options.link)
    artefacts, last_track, with_faces, black, first_black = [], -1, 0, 0, None
    for chunk in manifest.chunks:
        key = artefact_key("link", fingerprint, chunk.name)
        with store.put(key) as path, path.open("w") as out:
            count = 0
            for frame in islice(linked, chunk.frames):
                if not chunk.pts_start <= frame.pts < chunk.pts_end:
                    raise VerificationError(f"link: pts {frame.pts} is not of chunk {chunk.index + 1}")
                count += 1
                with_faces += bool(frame.boxes)
                if frame.black:
                    black += 1
                    first_black = frame.pts if first_black is None else first_black
                last_track = max(last_track, *(b.track for b in frame.boxes), -1)
                out.write(dump_frame(frame) + "\n")
            if count != chunk.frames:
                raise VerificationError(f"link: chunk {chunk.index + 1} has {count} frames, not {chunk.frames}")
            out.flush()
            if store.exists(key) and store.describe(key, count).sha256 != file_digest(path):
                store.delete(key)  # damaged: the first writer of a key wins
        artefacts.append(store.describe(key, count))
    if next(linked, None) is not None:
        raise VerificationError("link: more frames than the source has")
    return Linked(tuple(artefacts), last_track + 1, with_faces, black, first_black)


def _read(store: Storage, artefact: Artefact) -> tuple[ChunkDetections, Iterator[FrameDetections]]:
    if not artefact.is_whole(store.describe(artefact.key, artefact.frames)):
        raise VerificationError(f"{artefact.key} in the store is not what was reported")
    with store.fetch(artefact.key) as path:
        chunk = load_chunk(_last_line(path))
    return chunk, _frames(store, artefact, chunk)


def _frames(store: Storage, artefact: Artefact, chunk: ChunkDetections) -> Iterator[FrameDetections]:
    if chunk.frames != artefact.frames:
        raise VerificationError(f"{artefact.key}: {chunk.frames} frames, reported were {artefact.frames}")
    with store.fetch(artefact.key) as path, path.open() as lines:
        for line in islice(lines, chunk.frames):
            yield load_frame(line)


def _last_line(path: Path) -> str:
    with path.open("rb") as f:
        size = f.seek(0, os.SEEK_END)
        f.seek(max(0, size - 65536))
        lines = f.read().splitlines()
    if not lines:
        raise StorageError(f"{path} is empty")
    return lines[-1].decode()
