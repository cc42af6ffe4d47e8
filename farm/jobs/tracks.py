"""The tracks of a job: read from the store, and told to people."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import tee
from typing import Any

from sqlalchemy.orm import Session

from farm.database.edits import job_edits
from farm.database.models import Job
from farm.domain.edits import KeyFrame, based, of_masks
from farm.domain.geometry import Box
from farm.domain.masks import allowed, anchored, apply, replaced, with_ends
from farm.domain.polygon import Area
from farm.domain.stages import JobStatus
from farm.domain.track import FrameTracks, TrackedBox, load_frame
from farm.errors import DamagedArtefact, JobFailed, NotFound, VerificationError
from farm.jobs.beginning import stage_rows
from farm.jobs.context import Context
from farm.jobs.plans import job_manifest
from farm.jobs.queries import find_job
from farm.jobs.recognition import job_known
from farm.messages import Artefact
from farm.storage.base import Storage, opened


@dataclass(slots=True)
class TrackFacts:
    """One track, or one box that an edit added (then ``track`` is below 0, and ``-track`` is the edit's number).

    ``begins``, ``ends``: seconds of the output. ``frames`` that have it, and ``covered`` ones of them. ``score``: the
    best one of its detections. ``width``, ``height``: of the largest box. ``best``: where it is seen best, and ``pts``:
    when. ``edits``: the numbers of those about it. ``person``: the number of the person that it shows, where faces were
    told apart, and ``reason``: what was decided for it because of photos, and why. Boxes are in pixels of the picture
    as shown.
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
    person: int | None = None
    reason: str = ""

    def row(self) -> dict[str, Any]:
        """All facts as JSON."""
        return asdict(self)


class Collected:
    """The tracks of a job so far. Give it all frames of :meth:`JobTracks.frames`, in order."""

    def __init__(self, tracks: "JobTracks") -> None:
        self._tracks = tracks
        self._found: dict[int | None, TrackFacts] = {}  # in pixels of the coded picture, times in pts

    def take(self, frame: FrameTracks, mask: FrameTracks, until: int) -> None:
        """Take the next frame, which is shown until a pts."""
        for found, covered in seen(frame, mask):
            box, pts = found.box, frame.pts
            facts = self._found.get(found.track)
            if facts is None:
                facts = self._found[found.track] = TrackFacts(found.track, found.kind, pts, until)
            facts.ends = until
            facts.frames += 1
            facts.covered += covered
            facts.width, facts.height = max(facts.width, box.w), max(facts.height, box.h)
            if facts.best is None or (found.score, box.area) > (facts.score, facts.best.area):
                facts.pts, facts.best = pts, box
            facts.score = max(facts.score, found.score)

    def facts(self) -> list[TrackFacts]:
        """All tracks in the order of their numbers, then what edits added."""
        tracks, video = self._tracks, self._tracks.manifest.source.video
        for facts in self._found.values():
            largest = video.shown_box(Box(0, 0, facts.width, facts.height))
            facts.width, facts.height = largest.w, largest.h
            facts.begins, facts.ends = tracks.seconds(int(facts.begins)), tracks.seconds(int(facts.ends))
            facts.best = facts.best and video.shown_box(facts.best)
        for edit in tracks.edits:
            for track in {tracks.anchors.get(edit.number), -edit.number} & self._found.keys():
                self._found[track].edits.append(edit.number)
        for track, known in tracks.known.items():
            if track in self._found:
                self._found[track].person, self._found[track].reason = known.person, known.reason
        return sorted(self._found.values(), key=lambda facts: (facts.track < 0, abs(facts.track)))


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


def base_frames(store: Storage, tracks: Iterable[Artefact], imported: str | None) -> Iterator[FrameTracks]:
    """The frames that edits apply to: of tracks, with the boxes of the masks under the key ``imported``, if there are.

    Raises as :func:`read_tracks`, and JobFailed where what was imported is damaged or gone: it cannot be made again.
    """
    frames = read_tracks(store, tracks)
    return frames if imported is None else replaced(frames, _read_imported(store, imported))


def _read_imported(store: Storage, key: str) -> Iterator[FrameTracks]:
    try:
        with opened(store, key) as path, path.open(encoding="ascii") as lines:
            yield from map(load_frame, lines)
    except DamagedArtefact as e:
        hint = "farm edit JOB import FILE takes them again, or farm edit JOB undo"
        raise JobFailed(f"the masks that were imported are damaged or gone: {key}", hint=hint) from e


class JobTracks:
    """The tracks of a job, and what all its edits make of them, also those that its masks do not contain yet.

    Where masks were imported, they stand in place of the tracks. ``masked``: only edits that the job's masks contain.
    ``job``, ``manifest``, ``edits`` of masks in effect, and ``anchors``: their tracks; ``known``: of each track, where
    faces were told apart. Raises NotFound, JobFailed for a job of another version, DamagedArtefact, StorageError; so do
    the methods.
    """

    def __init__(self, context: Context, job_id: str, *, masked: bool = False) -> None:
        with context.database.read() as session:
            self.job = find_job(session, job_id)
            self.manifest, self._tracks = job_manifest(session, self.job.id), linked_tracks(session, self.job)
            self.edits = of_masks(job_edits(session, self.job.id, self.job.masked if masked else None))
            self.known = job_known(session, context.store, self.job.id)
        self._store = context.store
        if not all(context.store.exists(artefact.key) for artefact in self._tracks):
            hint = "farm redact" if self.job.status == JobStatus.DONE else "farm retry"
            raise NotFound(
                f"the tracks of job {self.job.id} are not in the store any more",
                hint=f"{hint} {self.job.id} makes them again",
            )
        self._imported, self._later = based(self.edits)
        self.anchors = anchored(self._later, self._base())

    def _base(self) -> Iterator[FrameTracks]:
        return base_frames(self._store, self._tracks, self._imported)

    def frames(self) -> Iterator[tuple[FrameTracks, FrameTracks, int]]:
        """The tracks and the mask of each frame, and the pts up to which it is shown."""
        end = self.manifest.chunks[-1].pts_end
        tracks, same = tee(self._base())  # of which one is ahead by a frame
        masks = apply(self._later, self.anchors, same, end)
        for (frame, until), mask in zip(with_ends(tracks, end), masks, strict=True):
            yield frame, mask, until

    def allowed(self, frame: FrameTracks, until: int) -> list[Area]:
        """Where faces of a frame may be seen, see :func:`farm.domain.masks.allowed`."""
        return allowed(self._later, self.anchors, frame, until)

    def seconds(self, pts: int) -> float:
        """When a frame is shown, in seconds of the output."""
        zero = self.manifest.zero(self.job.container)
        return round(float((pts - zero) * self.manifest.source.video.time_base), 3)

    def facts(self) -> list[TrackFacts]:
        """All tracks in the order of their numbers, then what edits added."""
        collected = Collected(self)
        for frame, mask, until in self.frames():
            collected.take(frame, mask, until)
        return collected.facts()


def seen(frame: FrameTracks, mask: FrameTracks) -> Iterator[tuple[TrackedBox, bool]]:
    """The boxes of a frame's tracks and those that edits added, each with whether it is covered."""
    if mask is frame:
        yield from ((box, True) for box in frame.boxes)
        return
    covered = {box.track for box in mask.boxes}
    found = {box.track for box in frame.boxes}
    for box in (*frame.boxes, *(added for added in mask.boxes if added.track < 0 and added.track not in found)):
        yield box, box.track in covered


def anchors_of(tracks: JobTracks, wanted: Collection[int], begins: int | None, ends: int | None) -> dict[int, KeyFrame]:
    """Where each of some tracks is seen best between two times (pts); one that is not seen then is left out."""
    best: dict[int, tuple[float, float, int, Box]] = {}
    for frame, _, until in tracks.frames():
        if (begins is not None and until <= begins) or (ends is not None and frame.pts >= ends):
            continue
        for box in frame.boxes:
            if box.track in wanted and (box.track not in best or (box.score, box.box.area) > best[box.track][:2]):
                best[box.track] = box.score, box.box.area, frame.pts, box.box
    return {track: KeyFrame(*found[2:]) for track, found in best.items()}
