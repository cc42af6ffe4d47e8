"""Stage edit: what the edits of a job make of its tracks, one artefact of masks per chunk. Boxes only."""

from collections.abc import Callable, Sequence

from farm.coordinator.tracks import Written, record_written, write_tracks
from farm.database.edits import job_edits
from farm.database.events import record_event
from farm.database.models import Job
from farm.database.statuses import locked_job
from farm.domain.edits import Edit, based, digest_of, of_masks
from farm.domain.manifest import Manifest
from farm.domain.masks import Anchors, anchored, apply
from farm.domain.options import load_options
from farm.domain.track import FrameTracks, dump_frame, dump_mask
from farm.jobs.context import Context
from farm.jobs.recognition import RULE
from farm.jobs.tracks import base_frames
from farm.messages import Artefact
from farm.storage.base import Storage


def run(
    context: Context, job: Job, manifest: Manifest, inputs: Sequence[Artefact], fingerprint: str
) -> tuple[Sequence[Artefact], list[str]]:
    """Do the stage: apply the job's edits to the tracks ``inputs``. Returns the masks of each chunk.

    Writes what the masks cover to the job's row. Edits of a track that is not there (any more) make the job wait for a
    person, unless one has approved them. Raises VerificationError, StorageError.
    """
    with context.database.read() as session:
        every = [edit for edit in job_edits(session, job.id) if _is_in(edit, job)]
    edits = of_masks(every)
    dump = dump_frame if load_options(job.options).redact.debug else dump_mask  # which shows numbers and scores
    written, anchors = edit_job(context.store, manifest, inputs, fingerprint, edits, dump)
    with context.database.write() as session:
        fresh, now = locked_job(session, job.id), context.clock()
        record_written(session, fresh, written, now)
        fresh.masked = next((at for at, edit in enumerate(every) if edit.number != at + 1), len(every))
        lost = [edit for edit in edits if edit.number in anchors and anchors[edit.number] is None]
        if {edit.number for edit in lost} - set(fresh.unmatched):  # a person has not accepted that yet
            named = ", ".join(f"{edit.number} ({edit.action.value} track {edit.track})" for edit in lost)
            text = f"waits for a person: no track is where it was for edit {named}"
            fresh.review, fresh.unmatched = True, [edit.number for edit in lost]
            record_event(session, now, text, job.id)
    return written.artefacts, []


def _is_in(edit: Edit, job: Job) -> bool:
    """Whether a job's masks contain an edit: those that a person approved, and what a rule says of other tracks."""
    return job.approved < 0 or edit.number <= job.approved or edit.author == RULE


def edit_job(
    store: Storage,
    manifest: Manifest,
    tracks: Sequence[Artefact],
    fingerprint: str,
    edits: Sequence[Edit] = (),
    dump: Callable[[FrameTracks], str] = dump_mask,
) -> tuple[Written, Anchors]:
    """Write the masks of a video, and find the tracks that ``edits`` (those in effect) are about.

    ``tracks``: one artefact per chunk, in order; ``fingerprint``: of the masks; ``dump``: makes a frame's line. Memory
    does not grow with the length of the video. Raises VerificationError, DamagedArtefact, StorageError.
    """
    imported, later = based(edits)
    anchors = anchored(later, base_frames(store, tracks, imported))
    read = [*(artefact.sha256 for artefact in tracks), digest_of(edits)]
    frames = apply(later, anchors, base_frames(store, tracks, imported), manifest.chunks[-1].pts_end)
    return write_tracks(store, "edit", fingerprint, manifest, read, frames, dump), anchors
