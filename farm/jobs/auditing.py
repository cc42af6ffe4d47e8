"""Audits: the faces that a detector still finds in the output of a job, outside its masks.

Segments are looked at, of which the output was verified to consist.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from time import sleep
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from farm.database.edits import job_edits
from farm.database.events import record_event
from farm.database.models import Chunk, Job
from farm.database.statuses import locked_job, move_job
from farm.digests import file_digest
from farm.domain.containers import PICTURES_CONTAINER
from farm.domain.detection import Detection
from farm.domain.detectors import DetectOptions
from farm.domain.edits import Action, Edit, of_masks
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Chunk as Planned
from farm.domain.manifest import Manifest
from farm.domain.options import load_options
from farm.domain.residuals import LOOK_SECONDS, Audit, Residual, Residuals, load_audit, load_look
from farm.domain.stages import JobStatus
from farm.domain.track import look_of
from farm.errors import DamagedArtefact, IllegalTransition, NotFound, OutputError, SettingsError, VerificationError
from farm.jobs.beginning import stage_artefacts
from farm.jobs.context import Context
from farm.jobs.edits import hold_back
from farm.jobs.errands import errand_row, gathered
from farm.jobs.plans import job_manifest, restore_plan
from farm.jobs.queries import find_job
from farm.jobs.tracks import JobTracks
from farm.messages import Artefact
from farm.storage.base import Storage, opened

_POLL_SECONDS = 0.1
_CHECKS = 30  # polls from one check of the store to the next
#: Edits that uncover what may be a face.
_UNCOVERING = (Action.DROP, Action.IGNORE, Action.ONLY)


def audit_of(manifest: Manifest, detect: DetectOptions, every: int | None = None) -> Audit:
    """How a video is audited. ``every``: frames from one look to the next; by default :data:`LOOK_SECONDS`.

    Raises SettingsError for less than one.
    """
    if every is not None and every < 1:
        raise SettingsError(f"every {every} frames is not possible", hint="use 1 or more")
    rate = manifest.frames / manifest.seconds if manifest.seconds else 1.0
    return Audit(detect, every or max(1, round(rate * LOOK_SECONDS)))


def may_publish(context: Context, job: Job, output: Artefact) -> bool:
    """Whether a job whose output is composed may be published: not before an audit that was asked for has ended.

    A job whose audit is strict goes back to its masks, for a person, where a face is still seen. Raises JobFailed where
    the audit cannot be done, DamagedArtefact, StorageError.
    """
    if job.audit is None or (job.audited or {}).get("output") == output.sha256:
        return True
    found = _report(context, job.id, load_audit(job.audit))
    if found is None:
        return False
    report = found | {"output": output.sha256}
    with context.database.write() as session:
        fresh, now = locked_job(session, job.id), context.clock()
        if fresh.status != JobStatus.COMPOSING:
            return False
        fresh.audited = report
        faces = len(report["faces"])
        seen = "no face is" if not faces else "1 face is" if faces == 1 else f"{faces} faces are"
        record_event(session, now, f"audit: {seen} seen outside the masks", job.id)
        if not faces or not fresh.strict:
            return True
        hold_back(session, context.store, fresh)
        fresh.review, fresh.audited = True, report | {"output": ""}  # the same output would be refused again
        move_job(session, fresh, JobEvent.REMAKE, now, "its output was not published: the audit found faces")
        return False


def audit(
    context: Context,
    job_id: str,
    change: Callable[[DetectOptions], DetectOptions],
    every: int | None,
    tend: Callable[[], None],
) -> dict[str, Any]:
    """Have workers audit the output of a job that is done; ``tend`` is called meanwhile. Returns what was found.

    ``change``: makes the options of the detector from those of the job; ``every``: frames from one look to the next,
    see :func:`audit_of`. One audit of a job waits for another. Of a job that its own audit sent back to a
    person, what that found is returned. Raises NotFound, IllegalTransition for a job that is not done, OutputError for
    an output that is not what was published, JobFailed, StorageError.
    """
    with context.database.read() as session:
        job = find_job(session, job_id)
        manifest = job_manifest(session, job.id)
    if job.status == JobStatus.REVIEWING and job.audited:
        return job.audited
    if job.status != JobStatus.DONE:
        raise IllegalTransition(f"job {job.id} is not done: it is {job.status}", hint=f"farm status {job.id}")
    if job.main is None:  # a companion's is a part of another output
        _check_output(job)
    asked = audit_of(manifest, change(load_options(job.options).detect), every)
    restore_plan(context, job.id)
    _check_segments(context, job)
    polls = 0
    while (found := _report_of_done(context, job.id, asked)) is None:
        tend()
        sleep(_POLL_SECONDS)
        polls += 1
        if polls % _CHECKS == 0:  # what is lost of a job that is done is not made again
            _check_segments(context, job)
    report = found | {"output": job.published}
    with context.database.write() as session:
        locked_job(session, job.id).audited = report
    return report


def job_of_output(context: Context, path: Path) -> str:
    """The id of the job that published a file last. Raises NotFound."""
    with context.database.read() as session:
        mine = select(Job.id).where(Job.output == str(path.absolute()), Job.published.is_not(None), Job.main.is_(None))
        found = session.scalar(mine.order_by(Job.finished_at.desc()).limit(1))
    if found is None:
        raise NotFound(f"{path}: no job of this farm has published it", hint="name a job: `farm status` lists them")
    return found


def _check_output(job: Job) -> None:
    if job.container == PICTURES_CONTAINER:
        return
    output = Path(job.output)
    try:
        same = file_digest(output) == job.published
    except OSError as e:
        raise OutputError(f"{output}: {e.strerror}", hint="only an output that is there can be audited") from e
    if not same:
        hint = f"move it away, then: farm redact {job.id}"
        raise OutputError(f"{output} was changed since it was published", hint=hint)


def _check_segments(context: Context, job: Job) -> None:
    with context.database.read() as session:
        segments = stage_artefacts(session, job.id, "redact")
    if not all(context.store.exists(segment.key) for segment in segments):
        raise NotFound(
            f"the segments of job {job.id} are not in the store any more",
            hint="submit the video again, with --audit",
        )


def _rows(session: Session, job: Job, asked: Audit) -> list[Chunk]:
    manifest, edits = job_manifest(session, job.id), of_masks(job_edits(session, job.id, job.masked))
    segments = stage_artefacts(session, job.id, "redact")
    closely = replace(asked, every=1)
    requests = [(closely if _uncovers(edits, chunk) else asked).request() for chunk in manifest.chunks]
    return [
        errand_row(job, manifest, "audit", n, request, [segment])
        for n, (segment, request) in enumerate(zip(segments, requests, strict=True))
    ]


def _uncovers(edits: Iterable[Edit], chunk: Planned) -> bool:
    """Whether an edit uncovers a part of a track in a chunk, for a time that may be shorter than from look to look."""
    return any(
        (edit.begins is not None or edit.ends is not None)
        and (edit.begins is None or edit.begins < chunk.pts_end)
        and (edit.ends is None or edit.ends > chunk.pts_start)
        for edit in edits
        if edit.action in _UNCOVERING
    )


def _report_of_done(context: Context, job_id: str, asked: Audit) -> dict[str, Any] | None:
    """As :func:`_report`, of a job that is done: nobody else makes again what was damaged."""
    try:
        return _report(context, job_id, asked)
    except DamagedArtefact as e:
        context.store.set_aside(e.key)
        return None


def _report(context: Context, job_id: str, asked: Audit) -> dict[str, Any] | None:
    """What an audit found, as JSON: how it was done, how many looks, and the faces, with seconds of the output and
    boxes on the picture as shown. None while not all chunks have been looked at.
    """
    found = gathered(context, job_id, "audit", lambda session, job: _rows(session, job, asked))
    if found is None:
        return None
    tracks = JobTracks(context, job_id, masked=True)
    options, residuals = load_options(tracks.job.options).redact, Residuals()
    looks = chain.from_iterable(_looks(context.store, artefact) for artefact in found)
    look = next(looks, None)
    for frame, mask, until in tracks.frames():
        if look is None or look[0] != frame.pts:
            continue
        if not mask.black:
            covers = [box.polygon or box.box.grown(look_of(box, options).margin) for box in mask.boxes]
            residuals.take(frame.pts, look[1], covers, tracks.allowed(frame, until))
        look = next(looks, None)
    if look is not None:
        raise VerificationError(f"the audit looked at a frame of pts {look[0]}, which the video has not")
    return asked.request() | {
        "looks": residuals.looks,
        "faces": [_row(tracks, face) for face in sorted(residuals.found, key=lambda face: -face.score)],
    }


def _looks(store: Storage, artefact: Artefact) -> Iterator[tuple[int, tuple[Detection, ...]]]:
    with opened(store, artefact.key) as path, path.open(encoding="ascii") as lines:
        yield from map(load_look, lines)


def _row(tracks: JobTracks, face: Residual) -> dict[str, Any]:
    box = tracks.manifest.source.video.shown_box(face.box).rounded()
    return {
        "from": tracks.seconds(face.begins),
        "to": tracks.seconds(face.ends),
        "looks": face.looks,
        "at": tracks.seconds(face.pts),
        "pts": face.pts,
        "box": [box.x, box.y, box.w, box.h],
        "score": round(face.score, 3),
        "kind": face.kind,
    }
