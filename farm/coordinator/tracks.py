"""What the stages of tracks write: a line per frame, an artefact per chunk, and what was found."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy.orm import Session

from farm.database.events import record_event
from farm.database.models import Job
from farm.domain.artefacts import artefact_name
from farm.domain.found import Found, Stretches
from farm.domain.geometry import touches
from farm.domain.manifest import Chunk, Manifest
from farm.domain.track import FrameTracks, dump_frame
from farm.errors import VerificationError
from farm.messages import Artefact
from farm.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Written:
    """The tracks or masks of each chunk in order, what was found, and the number of black frames.

    ``first_black``: the pts of the first black frame. ``damaged``: keys that were set aside.
    """

    artefacts: tuple[Artefact, ...]
    found: Found
    black: int = 0
    first_black: int | None = None
    damaged: tuple[str, ...] = ()


class _Counts:
    """What the frames of a video hold, counted one by one. A track has no gaps; one that edits cut counts by parts."""

    def __init__(self, manifest: Manifest) -> None:
        self.tracks = self.with_faces = self.black = self.covered = 0
        self._before: frozenset[int] = frozenset()
        self._size = manifest.source.video.width, manifest.source.video.height
        self.first_black: int | None = None
        self.stretches = Stretches(manifest.source.video.time_base, manifest.chunks[0].pts_start)

    def take(self, frame: FrameTracks) -> None:
        covered = frame.black or bool(frame.boxes)
        self.with_faces += any(touches(box.box, *self._size) for box in frame.boxes)  # not those that have left
        self.covered += covered
        self.stretches.take(frame.pts, covered=covered)
        if frame.black:
            self.black += 1
            self.first_black = frame.pts if self.first_black is None else self.first_black
        now = frozenset(box.track for box in frame.boxes)
        self.tracks += len(now - self._before)
        self._before = now


def write_tracks(
    store: Storage,
    stage: str,
    fingerprint: str,
    manifest: Manifest,
    read: Sequence[str],
    frames: Iterator[FrameTracks],
    dump: Callable[[FrameTracks], str] = dump_frame,
) -> Written:
    """Write the ``frames`` of a video as the artefacts of ``stage``. ``read``: the SHA-256 of what they were made of;
    ``dump``: makes a frame's line.

    Memory does not grow with the length of the video. Raises VerificationError unless the frames are those of the
    manifest, StorageError, and what ``frames`` raises.
    """
    counts, artefacts, damaged = _Counts(manifest), [], []
    for chunk in manifest.chunks:
        before = counts.covered
        with store.put(artefact_name(stage, fingerprint, chunk.name, read)) as draft, draft.path.open("w") as out:
            for frame in _of_chunk(stage, chunk, frames):
                counts.take(frame)
                out.write(dump(frame) + "\n")
        artefacts.append(draft.artefact(chunk.frames, covered=counts.covered - before))
        if draft.damaged:
            damaged.append(draft.key)
    if next(frames, None) is not None:
        raise VerificationError(f"{stage}: more frames than the source has")
    found = Found(counts.tracks, counts.with_faces, counts.stretches.until(manifest.chunks[-1].pts_end))
    return Written(tuple(artefacts), found, counts.black, counts.first_black, tuple(damaged))


def record_written(session: Session, job: Job, written: Written, now: float) -> None:
    """Write what was found to the job's row, which the caller has locked, and tell what was set aside."""
    job.found = written.found.row()
    for key in written.damaged:
        record_event(session, now, f"{key} was damaged: set aside, and made again", job.id)


def _of_chunk(stage: str, chunk: Chunk, frames: Iterator[FrameTracks]) -> Iterator[FrameTracks]:
    count = 0
    for frame in islice(frames, chunk.frames):
        if not chunk.pts_start <= frame.pts < chunk.pts_end:
            raise VerificationError(f"{stage}: pts {frame.pts} is not of chunk {chunk.index + 1}")
        count += 1
        yield frame
    if count != chunk.frames:
        raise VerificationError(f"{stage}: chunk {chunk.index + 1} has {count} frames, not {chunk.frames}")
