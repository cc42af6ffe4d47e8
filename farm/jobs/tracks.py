"""The tracks of a job: read from the store, and told to people."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from farm.database.edits import job_edits
from farm.database.models import Job
from farm.domain.edits import KeyFrame, effective
from farm.domain.geometry import Box
from farm.domain.masks import anchored, apply
from farm.domain.stages import JobStatus
from farm.domain.track import FrameTracks, TrackedBox, load_frame
from farm.errors import NotFound, VerificationError
from farm.jobs.beginning import stage_rows
from farm.jobs.context import Context
from farm.jobs.plans import job_manifest
from farm.jobs.queries import find_job
from farm.messages import Artefact
from farm.storage.base import Storage, opened


@dataclass(slots=True)
class TrackFacts:
    """One track, or one box that an edit added (then ``track`` is below 0, and ``-track`` is the edit's number).

    ``begins``, ``ends``: seconds of the output. ``frames`` that have it, and ``covered`` ones of them. ``score``: the
    best one of its detections. ``width``, ``height``: of the largest box. ``best``: where it is seen best, and ``pts``:
    when. ``edits``: the numbers of those about it. Boxes are in pixels of the picture as shown.
    """

    track: int
    kind: str
    begins: float
    ends: float
    frames: int = 0
    covered: int = 0
    score: float = 0.0
    width: float = 0.0
    height: float = 0.0
    pts: int = 0
    best: Box | None = None
    edits: list[int] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """All facts as JSON."""
        return asdict(self)

    def take(self, found: TrackedBox, box: Box, pts: int, ends: float, *, covered: bool) -> None:
        """Take the next frame, which is shown until ``ends``. ``box``: on the picture as shown."""
        self.ends = ends
        self.frames += 1
        self.covered += covered
        self.width, self.height = max(self.width, box.w), max(self.height, box.h)
        if self.best is None or (found.score, box.area) > (self.score, self.best.area):
            self.pts, self.best = pts, box
        self.score = max(self.score, found.score)


def read_tracks(store: Storage, artefacts: Iterable[Artefact]) -> Iterator[FrameTracks]:
    """The frames of tracks or masks, one at a time. Raises DamagedArtefact, VerificationError, StorageError."""
    for artefact in artefacts:
        with opened(store, artefact.key) as path, path.open(encoding="ascii") as lines:
            count = 0
            for line in lines:
                count += 1
                yield load_frame(line)
        if count != artefact.frames:
            raise VerificationError(f"{artefact.key}: {count} frames, {artefact.frames} were reported")


def linked_tracks(session: Session, job: Job) -> list[Artefact]:
    """What the stage link of a job has written, by chunk. Raises NotFound where it has not (yet)."""
    rows = stage_rows(session, job.id, "link")
    if not rows or any(row.artefact is None for row in rows):
        raise NotFound(f"job {job.id} has no tracks yet: it is {job.status}", hint=f"follow it: farm watch {job.id}")
    return [Artefact.model_validate(row.artefact) for row in rows]


class JobTracks:
    """The tracks of a job, and what all its edits make of them, also those that its masks do not contain yet.

    ``job``, ``manifest``, ``edits`` in effect. Raises NotFound, JobFailed for a job of another version,
    DamagedArtefact, StorageError; so do the methods.
    """

    def __init__(self, context: Context, job_id: str) -> None:
        with context.database.read() as session:
            self.job = find_job(session, job_id)
            self.manifest, self._tracks = job_manifest(session, self.job.id), linked_tracks(session, self.job)
            self.edits = effective(job_edits(session, self.job.id))
        self._store = context.store
        if not all(context.store.exists(artefact.key) for artefact in self._tracks):
            hint = "farm redact" if self.job.status == JobStatus.DONE else "farm retry"
            raise NotFound(
                f"the tracks of job {self.job.id} are not in the store any more",
                hint=f"{hint} {self.job.id} makes them again",
            )
        self._anchors = anchored(self.edits, read_tracks(self._store, self._tracks))

    def frames(self) -> Iterator[tuple[FrameTracks, FrameTracks, int]]:
        """The tracks and the mask of each frame, and the pts up to which it is shown."""
        end = self.manifest.chunks[-1].pts_end
        masks = apply(self.edits, self._anchors, read_tracks(self._store, self._tracks), end)
        before: tuple[FrameTracks, FrameTracks] | None = None
        for frame, mask in zip(read_tracks(self._store, self._tracks), masks, strict=True):
            if before is not None:
                yield *before, frame.pts
            before = frame, mask
        if before is not None:
            yield *before, end

    def seconds(self, pts: int) -> float:
        """When a frame is shown, in seconds of the output."""
        zero = self.manifest.zero(self.job.container)
        return round(float((pts - zero) * self.manifest.source.video.time_base), 3)

    def facts(self) -> list[TrackFacts]:
        """All tracks in the order of their numbers, then what edits added."""
        found: dict[int | None, TrackFacts] = {}
        video = self.manifest.source.video
        for frame, mask, until in self.frames():
            begins, ends = self.seconds(frame.pts), self.seconds(until)
            covered = {box.track for box in mask.boxes}
            for box in (*frame.boxes, *(added for added in mask.boxes if added.track < 0)):
                facts = found.setdefault(box.track, TrackFacts(box.track, box.kind, begins, ends))
                facts.take(box, video.shown_box(box.box), frame.pts, ends, covered=box.track in covered)
        for edit in self.edits:
            for track in {self._anchors.get(edit.number), -edit.number} & found.keys():
                found[track].edits.append(edit.number)
        return sorted(found.values(), key=lambda facts: (facts.track < 0, abs(facts.track)))


def anchor_of(
    frames: Iterable[tuple[FrameTracks, FrameTracks, int]], track: int, begins: int | None, ends: int | None
) -> KeyFrame | None:
    """Where a track is seen best between two times (pts); None where it is not seen then. ``frames``: of JobTracks."""
    best: tuple[float, float, int, Box] | None = None
    for frame, _, until in frames:
        if (begins is not None and until <= begins) or (ends is not None and frame.pts >= ends):
            continue
        for box in frame.boxes:
            if box.track == track and (best is None or (box.score, box.box.area) > best[:2]):
                best = box.score, box.box.area, frame.pts, box.box
    return KeyFrame(*best[2:]) if best else None
