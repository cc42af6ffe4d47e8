"""Makes edits of what a person says: seconds, boxes and polygons on the picture as shown, numbers of tracks."""

from collections.abc import Sequence
from math import ceil, floor
from pathlib import Path

from farm.database.models import Job
from farm.domain.carrying import Carried, Carry
from farm.domain.detection import FACE
from farm.domain.edits import Action, Edit, KeyFrame, check_edit, checked_box, checked_polygon
from farm.domain.geometry import Box
from farm.domain.manifest import Manifest
from farm.domain.options import IMAGE, Override, RedactOptions, load_options, override
from farm.domain.polygon import Area, Polygon
from farm.domain.regions import Span
from farm.domain.time import time_text
from farm.domain.track import number_text
from farm.errors import EditError, OutputError, SettingsError
from farm.jobs.context import Context
from farm.jobs.images import check_looks, put_image, read_image
from farm.jobs.plans import job_manifest
from farm.jobs.queries import find_job
from farm.jobs.tracks import JobTracks, anchors_of
from farm.media.composing.sound import refuse_uneditable
from farm.media.composing.streams import wanted


def override_of(style: str | None, shape: str | None, margin: str | None, image: str | None = None) -> Override | None:
    """What of a style was given, as for ``farm submit``; None if nothing was. Raises SettingsError.

    ``image``: the key of a picture in the store.
    """
    said = RedactOptions.parsed({"style": style, "shape": shape, "margin": margin, "image": image})
    return override(said) if said else None


#: Seconds for which a box is carried at most, forward and backward.
FARTHEST = 300.0
#: Seconds by which a time may be past the end: lists of tracks round to a thousandth.
_ROUNDING = 0.0011


class VideoMarker:
    """Makes edits of one video that name no track. ``manifest``: its plan. Times are seconds of the output, boxes are
    on the picture as players show it.
    """

    def __init__(self, manifest: Manifest, container: str, author: str, reason: str = "") -> None:
        """``container``: of the output."""
        self.manifest, self.author, self.reason = manifest, author, reason
        self._zero = manifest.zero(container)

    def cover(self, box: str, span: Span, end_box: str | None = None, override: Override | None = None) -> Edit:
        """Cover a box; with ``end_box`` it moves there, evenly, in the time of the span. Raises EditError.

        ``box`` is ``x,y,w,h`` in pixels, or in per cent of the picture: ``10%,20%,5%,8%``. ``override``: how it is
        covered where that is not as the job's options say.
        """
        return self._cover(span, self._box(box), None if end_box is None else self._box(end_box), override)

    def cover_polygon(
        self, points: str, span: Span, end_points: str | None = None, override: Override | None = None
    ) -> Edit:
        """Cover a polygon, as :meth:`cover`. ``points``: its corners, ``x,y`` each, with blanks between them.

        Each corner moves to the one that has its place in ``end_points``.
        """
        end = None if end_points is None else self._polygon(end_points)
        return self._cover(span, self._polygon(points), end, override)

    def _cover(self, span: Span, area: Area, end: Area | None, override: Override | None) -> Edit:
        begins, ends = self.span(span)
        first, last = self.manifest.chunks[0].pts_start, self.manifest.chunks[-1].pts_end
        keys = [KeyFrame.of(first if begins is None else begins, area)]
        if end is not None:
            keys.append(KeyFrame.of(last if ends is None else ends, end))
        return self._edit(Action.COVER, (begins, ends), tuple(keys), override=override)

    def drawn(self, box: str, at: float | None, span: Span) -> Carry:
        """What a worker is asked for, to carry a box that was drawn at a time through a span. Raises EditError.

        ``at``: by default when the span begins. The span ends :data:`FARTHEST` seconds from there at the latest.
        """
        seconds = span[0] if at is None else at
        if seconds is None:
            raise EditError("nothing says when the box was drawn", hint="add --at, or --from")
        begins, ends = self.span(span)
        pts = self.span((seconds, None))[0]
        assert pts is not None
        if (begins is not None and pts < begins) or (ends is not None and pts >= ends):
            raise EditError(f"{seconds:g} s, when the box was drawn, is not in its time", hint="change --at")
        far = self._pts(FARTHEST, up=True) - self._zero
        first, last = self.manifest.chunks[0].pts_start, self.manifest.chunks[-1].pts_end
        return Carry(
            KeyFrame(pts, self._box(box)),
            max(pts - far, first if begins is None else begins),
            min(pts + far, last if ends is None else ends),
        )

    def carried(self, found: Carried, span: Span, override: Override | None = None) -> tuple[Edit, list[str]]:
        """The edit that covers a box where it was found, and a line for each end at which it was lost.

        The box stays where it was last found up to the end that ``span`` says; without one it ends there.
        """
        begins, ends = self.span(span)
        said = []
        if found.lost_before is not None:
            held = "" if begins is None else f"; from {time_text(span[0] or 0)} to then the box stands still"
            begins = found.lost_before if begins is None else begins
            said.append(f"not found before {time_text(self._seconds(found.lost_before))}{held}")
        if found.lost_after is not None:
            held = "" if ends is None else f"; from then to {time_text(span[1] or 0)} the box stands still"
            ends = found.lost_after + 1 if ends is None else ends  # that frame is covered, and none after it
            said.append(f"lost after {time_text(self._seconds(found.lost_after))}{held}")
        return self._edit(Action.COVER, (begins, ends), found.keys, override=override), said

    def _seconds(self, pts: int) -> float:
        return float((pts - self._zero) * self.manifest.source.video.time_base)

    def ignore(self, box: str, span: Span) -> Edit:
        """Cover nothing that lies wholly inside a box. Raises EditError."""
        return self._ignore(self._box(box), span)

    def ignore_polygon(self, points: str, span: Span) -> Edit:
        """Cover nothing that lies wholly inside a polygon. Raises EditError."""
        return self._ignore(self._polygon(points), span)

    def _ignore(self, area: Area, span: Span) -> Edit:
        first = self.manifest.chunks[0].pts_start
        return self._edit(Action.IGNORE, self.span(span, inwards=True), (KeyFrame.of(first, area),))

    def only(self, box: str, span: Span) -> Edit:
        """Cover nothing that lies wholly outside a box, and outside all others of such edits. Raises EditError."""
        first = self.manifest.chunks[0].pts_start
        return self._edit(Action.ONLY, self.span(span, inwards=True), (KeyFrame(first, self._box(box)),))

    def imported(self, masks: str) -> Edit:
        """The masks are those of an artefact. ``masks``: its key."""
        return self._edit(Action.REPLACE, (None, None), (), masks=masks)

    def _edit(
        self,
        action: Action,
        span: tuple[int | None, int | None],
        where: tuple[KeyFrame, ...],
        track: int | None = None,
        override: Override | None = None,
        masks: str | None = None,
    ) -> Edit:
        edit = Edit(
            action=action, author=self.author, reason=self.reason, begins=span[0], ends=span[1], where=where,
            track=track, override=override, masks=masks,
        )  # fmt: skip
        try:
            check_edit(edit)
        except ValueError as e:
            raise EditError(str(e)) from e
        return edit

    def span(self, span: Span, *, inwards: bool = False) -> tuple[int | None, int | None]:
        """A span in pts, outwards to whole ticks, or ``inwards`` for what uncovers: a tick may be a frame."""
        begins, ends = span
        tick = float(self.manifest.source.video.time_base)
        first, last = self.manifest.chunks[0].pts_start, self.manifest.chunks[-1].pts_end
        end = (last - self._zero) * tick
        for seconds in (begins, ends):
            if seconds is not None and not 0 <= seconds <= end + _ROUNDING:
                raise EditError(f"{seconds:g} s is not in the video, which ends at {end:.3f} s")
        if begins is not None and ends is not None and begins >= ends:
            raise EditError(f"from {begins:g} s to {ends:g} s is no time")
        since = None if begins is None else self._pts(begins, up=inwards)
        until = None if ends is None or ends >= end - _ROUNDING else self._pts(ends, up=not inwards)
        if since is not None and since >= last:
            raise EditError(f"nothing is left after {begins:g} s: the video ends at {end:.3f} s")
        if until is not None and until <= max(first, first if since is None else since):
            shown = "no frame is shown wholly" if inwards else "no frame is shown"
            raise EditError(f"{shown} from {begins or 0:g} s to {ends:g} s")
        return since, until

    def _pts(self, seconds: float, *, up: bool) -> int:
        ticks = seconds / float(self.manifest.source.video.time_base)
        return self._zero + (ceil(ticks - 1e-6) if up else floor(ticks + 1e-6))

    def _box(self, text: str) -> Box:
        """A box of the picture as shown, in pixels of the coded picture."""
        try:
            box = checked_box(self._numbers(text))
        except ValueError as e:
            raise EditError(f'"{text}" is not a box: {e}', hint="write x,y,w,h in pixels, or 10%,20%,5%,8%") from e
        self._check_inside(text, box)
        return self._checked(text, self.manifest.source.video.coded_box(box))

    def _polygon(self, text: str) -> Polygon:
        """A polygon of the picture as shown, in pixels of the coded picture."""
        try:
            polygon = checked_polygon([self._numbers(corner) for corner in text.split()])
        except ValueError as e:
            hint = 'write its corners in pixels or per cent: "10,20 30,20 30%,60%"'
            raise EditError(f'"{text}" is not a polygon: {e}', hint=hint) from e
        self._check_inside(text, polygon.bounds)
        coded = self.manifest.source.video.coded_polygon(polygon)
        self._checked(text, coded.bounds)
        return coded

    def _numbers(self, text: str) -> list[float]:
        size = self.manifest.source.video.shown_size
        return [_number(part.strip(), size[at % 2]) for at, part in enumerate(text.split(","))]

    def _check_inside(self, text: str, box: Box) -> None:
        size = self.manifest.source.video.shown_size
        if box.x + box.w <= 0 or box.y + box.h <= 0 or box.x >= size[0] or box.y >= size[1]:
            raise EditError(f'"{text}" lies outside the picture, which is {size[0]} x {size[1]} pixels')

    def _checked(self, text: str, coded: Box) -> Box:
        if coded.w <= 0 or coded.h <= 0:
            raise EditError(f'"{text}" is smaller than a hundredth of a pixel')
        return coded


class Marker(VideoMarker):
    """Makes edits of one job. ``job``: its id."""

    def __init__(self, context: Context, job_id: str, author: str, reason: str = "") -> None:
        """Raises NotFound, JobFailed for a job of another version."""
        self._context = context
        with context.database.read() as session:
            self._job: Job = find_job(session, job_id)
            manifest: Manifest = job_manifest(session, self._job.id)
        self.job = self._job.id
        super().__init__(manifest, self._job.container, author, reason)

    def way(
        self, style: str | None = None, shape: str | None = None, margin: str | None = None, image: Path | None = None
    ) -> Override | None:
        """As :func:`override_of`; ``image`` is a file, which goes to the store.

        Raises SettingsError for a file that is no picture, for the style ``image`` where neither the edit nor the job
        has one, and for one without that style.
        """
        if image is None:
            said = override_of(style, shape, margin)
            options = load_options(self._job.options).redact
            check_looks([said.over(options.look(FACE))] if said and said.style == IMAGE else ())
            return said
        if style != IMAGE:
            raise SettingsError("--image is only used by the style image", hint="add --style image")
        kept = read_image(image)
        put_image(self._context.store, kept)
        return override_of(style, shape, margin, kept.key)

    def of_tracks(
        self, action: Action, tracks: Sequence[int], span: Span, override: Override | None = None
    ) -> list[Edit]:
        """Drop, keep, restore or style tracks, or the parts of them that are in a span.

        Raises EditError for a track that is not there, or not then; NotFound before there are tracks; StorageError.
        """
        pts = self.span(span, inwards=action in (Action.DROP, Action.KEEP))
        anchors = anchors_of(JobTracks(self._context, self.job), tracks, *pts)
        for track in tracks:
            if track not in anchors:
                said = f"{number_text(track)}{'' if span == (None, None) else ' in that time'}"
                raise EditError(f"job {self.job} has no track {said}", hint=f"farm tracks {self.job} lists them")
        return [self._edit(action, pts, (anchors[track],), track, override) for track in tracks]

    def sound(self, action: Action, span: Span) -> Edit:
        """Mute all sound of a span, or put a tone in its place. Raises EditError where there is no sound to edit."""
        options = load_options(self._job.options).compose
        heard = [other for other in wanted(self.manifest.source.others, options) if other.kind == "audio"]
        if not heard or options.pictures:
            none = all(other.kind != "audio" for other in self.manifest.source.others)
            why = "its video has none" if none else "all of it is left out of its output"
            raise EditError(f"job {self.job} has no sound to {action.value}: {why}")
        try:
            refuse_uneditable(heard, self._job.container)
        except OutputError as e:
            raise EditError(e.message, hint=e.hint, field=e.field) from e
        begins, ends = self.span(span)
        first = self.manifest.chunks[0].pts_start  # sound may begin before it
        return self._edit(action, (None if begins is not None and begins <= first else begins, ends), ())


def _number(text: str, whole: int) -> float:
    """A number of pixels. ``whole``: what 100 % is. Raises ValueError."""
    try:
        return float(text[:-1]) * whole / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise ValueError(f'"{text}" is not a number') from None
