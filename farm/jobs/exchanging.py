"""Masks of jobs in files of other programs: exported, imported, and edits that are given when a video is submitted."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from farm.domain.artefacts import import_name, pts_key
from farm.domain.edits import Edit
from farm.domain.geometry import Box, is_near, touches
from farm.domain.manifest import Manifest, VideoStream
from farm.domain.polygon import Polygon
from farm.domain.regions import Asked, Span, region_of
from farm.domain.track import FrameTracks, TrackedBox, dump_frame
from farm.errors import EditError, FarmError
from farm.exchange.base import About, ShownFrame
from farm.exchange.formats import Format, format_named, read_masks, table_beside
from farm.exchange.table import write_frames
from farm.files import check_free, whole_file
from farm.jobs.context import Context
from farm.jobs.edits import add_edits
from farm.jobs.marking import Marker, VideoMarker
from farm.jobs.plans import job_manifest, restore_plan
from farm.jobs.queries import find_job
from farm.jobs.tracks import JobTracks
from farm.storage.base import Storage, opened

#: Makes an edit of an area and its time.
_Make = Callable[[str, Span], Edit]


def asked_edits(
    store: Storage, asked: Asked, manifest: Manifest, container: str, pts: Callable[[], Iterable[int]]
) -> list[Edit]:
    """The edits of a video that is submitted; what they name is in the store. ``pts``: of all its frames.

    Raises EditError, StorageError.
    """
    marker, edits = VideoMarker(manifest, container, asked.author, "given at submission"), list[Edit]()
    if asked.detections is not None:
        form = format_named(asked.form) if asked.form else None
        edits.append(marker.imported(_store_masks(store, manifest, container, pts, asked.detections, form)[0]))
    makers: list[tuple[_Make, _Make, tuple[str, ...]]] = [
        (marker.cover, marker.cover_polygon, asked.cover),
        (marker.ignore, marker.ignore_polygon, asked.ignore),
        (marker.only, marker.only, asked.only),
    ]
    for box, polygon, regions in makers:
        for area, span in map(region_of, regions):
            edits.append((polygon if " " in area.strip() else box)(area, span))
    return edits


def import_masks(
    context: Context, job_id: str, path: Path, form: str | None, author: str, reason: str
) -> tuple[str, list[Edit], str]:
    """Have the masks of a job be those of a file from here on. Returns the job's id, the edit that was added, and a
    line on what it covers.

    ``form``: the file's format; None: by its name. Raises NotFound, EditError for a file that is damaged or of another
    video, SourceError where the plan has to be made again and the source is gone, JobFailed, StorageError.
    """
    known = None if form is None else format_named(form)
    marker = Marker(context, job_id, author, reason)
    with context.database.read() as session:
        job = find_job(session, job_id)
        manifest = job_manifest(session, job.id)
    restore_plan(context, job.id)

    def pts() -> Iterator[int]:
        for chunk in manifest.chunks:
            with opened(context.store, pts_key(job.plan, chunk)) as file:
                yield from json.loads(file.read_bytes())

    before = _covered(context, job.id, manifest)
    masks, covered = _store_masks(context.store, manifest, job.container, pts, path, known)

    def make(_before: list[Edit]) -> list[Edit]:
        if not context.store.exists(masks):  # `farm clean` knew no job that needs them
            raise EditError(f"{path}: its copy in the store was cleaned just now", hint="repeat the command")
        return [marker.imported(masks)]

    earlier = "" if before is None else f"; before it was {before}"
    said = f"{path.name} covers something in {covered} of {manifest.frames} frames{earlier}"
    return job.id, add_edits(context, job.id, make), said


def _covered(context: Context, job_id: str, manifest: Manifest) -> int | None:
    """In how many frames something is covered so far; None where nobody can tell (yet)."""
    video = manifest.source.video
    with suppress(FarmError):
        masks = (mask for _, mask, _ in JobTracks(context, job_id).frames())
        return sum(any(touches(box.box, video.width, video.height) for box in mask.boxes) for mask in masks)
    return None


def _store_masks(
    store: Storage,
    manifest: Manifest,
    container: str,
    pts: Callable[[], Iterable[int]],
    path: Path,
    form: Format | None,
) -> tuple[str, int]:
    """Write the masks that a file has for a video to the store; returns their key and how many frames they cover."""
    seconds, video = _seconds(manifest, container), manifest.source.video

    def frames() -> Iterator[ShownFrame]:
        for number, at in enumerate(pts()):
            yield ShownFrame(number, at, seconds(at), ())

    def coded(frame: ShownFrame, box: TrackedBox) -> TrackedBox:
        made = _coded(video, box)
        if made.box.w <= 0 or made.box.h <= 0:
            raise EditError(f"{path}: a box of track {box.track} is smaller than a hundredth of a pixel")
        if not is_near(box.box, *video.shown_size):
            raise EditError(f"{path}: frame {frame.number}: a box of track {box.track} lies outside the picture")
        return made

    covered = 0
    with store.put(import_name(manifest.source.digest)) as draft, draft.path.open("w", encoding="ascii") as out:
        for frame, boxes in read_masks(path, form, _about(manifest), frames):
            covered += any(touches(box.box, *video.shown_size) for box in boxes)
            out.write(dump_frame(FrameTracks(frame.pts, tuple(coded(frame, box) for box in boxes))) + "\n")
        if not covered:
            hint = "if nothing is to be covered, farm edit JOB drop says so of each track"
            raise EditError(f"{path} covers nothing in any of the {manifest.frames} frames", hint=hint)
    return draft.key, covered


def export_masks(
    context: Context, job_id: str, form: str, path: Path | None, *, overwrite: bool
) -> tuple[list[Path], str | None]:
    """Write the masks of a job, with all its edits, to a file; returns its path and that of the table beside it, and a
    line for the user on what the format does not carry.

    ``path``: None: a file in this folder, named by the job. Raises NotFound, EditError for an unknown format,
    OutputError, StorageError, JobFailed.
    """
    known = format_named(form)
    tracks = JobTracks(context, job_id)
    manifest, video = tracks.manifest, tracks.manifest.source.video
    if path is None:
        named = "masks" if known.suffix == f".{known.name}" else known.name
        path = Path(f"{tracks.job.id}.{named}{known.suffix}")
    paths = [path, *([table_beside(path)] if known.beside else [])]
    for one in paths:
        check_free(one, overwrite=overwrite)
    seconds, lost, solid = _seconds(manifest, tracks.job.container), False, False

    def frames() -> Iterator[ShownFrame]:
        nonlocal lost, solid
        for number, (_, mask, _) in enumerate(tracks.frames()):
            boxes = tuple(_shown(video, box) for box in mask.boxes)
            lost |= not known.styles and any(box.override or box.polygon for box in boxes)
            solid |= any(box.override and box.override.image for box in boxes)
            yield ShownFrame(number, mask.pts, seconds(mask.pts), boxes, mask.black)

    with ExitStack() as files:  # the file itself gets its name last
        file, *beside = [files.enter_context(whole_file(one)) for one in paths]
        with file.open("w", encoding="utf-8", newline="") as out:
            known.write(out, _about(manifest), frames)
        for table in beside:
            with table.open("w", encoding="utf-8", newline="") as out:
                write_frames(out, frames)
    if lost:
        return paths, f"{known.name} does not carry styles and polygons, which edits say here"
    return paths, "pictures that cover faces are not carried: there it says solid" if solid else None


def _coded(video: VideoStream, box: TrackedBox) -> TrackedBox:
    """What is covered, in pixels of the coded picture: the inverse of :func:`_shown`."""
    if box.polygon:
        polygon = video.coded_polygon(box.polygon)
        return replace(box, box=polygon.bounds, polygon=polygon)
    return replace(box, box=video.coded_box(box.box))


def _shown(video: VideoStream, box: TrackedBox) -> TrackedBox:
    """What is covered, on the picture as shown; not rounded."""
    corners = [video.shown_exactly(Box(x, y, 0, 0)) for x, y in box.polygon.corners] if box.polygon else []
    polygon = Polygon(tuple((corner.x, corner.y) for corner in corners)) if corners else None
    return replace(box, box=video.shown_exactly(box.box), polygon=polygon)


def _seconds(manifest: Manifest, container: str) -> Callable[[int], float]:
    """When a frame is shown, in seconds of the output."""
    zero, tick = manifest.zero(container), manifest.source.video.time_base
    return lambda pts: float((pts - zero) * tick)


def _about(manifest: Manifest) -> About:
    width, height = manifest.source.video.shown_size
    seconds = manifest.seconds
    return About(
        Path(manifest.source.submitted).name, manifest.source.digest, width, height, manifest.frames, round(seconds, 6),
        manifest.frames / seconds if seconds else 0.0,
    )  # fmt: skip
