"""Collects what a preview shows: a crop of each track, frames with boxes, and when anything is covered.

Memory does not grow with the video: frames are decoded one by one, and only small pictures are kept.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from farm.domain.found import Stretches
from farm.domain.geometry import Box
from farm.domain.polygon import Polygon
from farm.domain.track import number_text
from farm.jobs.context import Context
from farm.jobs.tracks import Collected, JobTracks, TrackFacts, seen
from farm.media.reading.chunk import check_source
from farm.media.reading.stills import Still, stills

#: Pictures of tracks and of frames, at most, and their sides in pixels.
MOST_TRACKS, MOST_FRAMES = 200, 12
CROP, FRAME = 160, 440
#: How much of what is around a face a crop shows, in sides of its box.
_AROUND = 0.6


@dataclass(frozen=True, slots=True)
class Mark:
    """An outline on a picture, in its pixels. ``number``: as people see it; ``covered``: whether what it shows is."""

    outline: Polygon
    number: str
    covered: bool


@dataclass(slots=True)
class View:
    """A frame at ``seconds`` of the output, with its boxes; ``picture`` None where it could not be decoded."""

    seconds: float
    marks: list[Mark] = field(default_factory=list)
    picture: Image.Image | None = None


@dataclass(slots=True)
class Shot:
    """A track where it is seen best; ``picture`` None where the frame could not be decoded."""

    facts: TrackFacts
    picture: Image.Image | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a preview shows of a job. ``tracks``: how many it has; ``shots``: those that are shown; ``open_times``: from
    and to, in seconds, where nothing is covered.
    """

    job: str
    name: str
    seconds: float
    tracks: int
    shots: Sequence[Shot]
    views: Sequence[View]
    open_times: Sequence[tuple[float, float]]


def collect(context: Context, job_id: str) -> Preview:
    """Collect the preview of a job.

    Raises NotFound, SourceError for a source that is gone or was changed, StorageError, JobFailed for a job of another
    version.
    """
    tracks = JobTracks(context, job_id)
    manifest = tracks.manifest
    check_source(Path(manifest.source.path), manifest.source)
    facts, views, open_times = _looked_over(tracks)
    shots = [Shot(one) for one in _chosen(facts)]
    by_pts: dict[int, list[Shot]] = defaultdict(list)
    for shot in shots:
        by_pts[shot.facts.pts].append(shot)
    for pts, still in stills(manifest, [*by_pts, *views]):
        for shot in by_pts.get(pts, ()):
            assert shot.facts.best is not None
            shot.picture = crop(still, shot.facts.best)
        if pts in views:
            views[pts] = _with_picture(views[pts], still)
    name = Path(manifest.source.submitted).name
    ordered = [view for _, view in sorted(views.items())]
    return Preview(tracks.job.id, name, manifest.seconds, len(facts), shots, ordered, open_times)


def _chosen(facts: Sequence[TrackFacts]) -> list[TrackFacts]:
    """The tracks that get a picture, in their order: those with an edit, and those that are seen longest."""
    first = sorted(facts, key=lambda one: (not one.edits, -one.frames, one.track))[:MOST_TRACKS]
    kept = {one.track for one in first}
    return [one for one in facts if one.track in kept]


def _looked_over(tracks: JobTracks) -> tuple[list[TrackFacts], dict[int, View], Sequence[tuple[float, float]]]:
    """All tracks, frames spread evenly over the video, by pts, and where nothing is covered."""
    manifest = tracks.manifest
    video, first, end = manifest.source.video, manifest.chunks[0].pts_start, manifest.chunks[-1].pts_end
    stretches = Stretches(video.time_base, first, shortest=0.0)
    wanted = [first + (2 * n + 1) * (end - first) // (2 * MOST_FRAMES) for n in range(MOST_FRAMES)]
    views: dict[int, View] = {}
    collected = Collected(tracks)
    for frame, mask, until in tracks.frames():
        collected.take(frame, mask, until)
        stretches.take(frame.pts, covered=mask.black or bool(mask.boxes))
        if wanted and until > wanted[0]:
            marks = [
                Mark(video.shown_polygon(b.outline), number_text(b.track), covered) for b, covered in seen(frame, mask)
            ]
            views[frame.pts] = View(tracks.seconds(frame.pts), marks)
            wanted = [pts for pts in wanted if pts >= until]
    return collected.facts(), views, stretches.until(end)


def _with_picture(view: View, still: Still) -> View:
    picture = Image.fromarray(still)
    picture.thumbnail((FRAME, FRAME))
    across, down = picture.width / still.shape[1], picture.height / still.shape[0]
    marks = [replace(mark, outline=mark.outline.scaled(across, down)) for mark in view.marks]
    return View(view.seconds, marks, picture)


def crop(still: Still, box: Box) -> Image.Image:
    """A face and what is around it, a square as far as the picture reaches."""
    side = max(box.w, box.h) * (1 + 2 * _AROUND)
    (x, y), (height, width) = box.centre, still.shape[:2]
    left, right = _inside(x - side / 2, x + side / 2, width)
    top, bottom = _inside(y - side / 2, y + side / 2, height)
    cut = Image.fromarray(still[top:bottom, left:right])
    share = CROP / max(cut.size)
    size = max(1, round(cut.width * share)), max(1, round(cut.height * share))
    return cut.resize(size, Image.Resampling.LANCZOS)


def _inside(low: float, high: float, size: int) -> tuple[int, int]:
    start = min(max(0, int(low)), size - 1)
    return start, max(start + 1, min(size, int(high) + 1))


def covered_share(open_times: Iterable[tuple[float, float]], seconds: float) -> float:
    """The share of a video, by time, in which anything is covered."""
    return 1 - sum(end - begin for begin, end in open_times) / seconds if seconds else 0.0
