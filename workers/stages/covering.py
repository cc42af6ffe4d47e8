"""Covers the boxes and polygons of a frame's masks, each in its own way, and lays pictures and text over them."""

from collections.abc import Iterator
from functools import lru_cache, partial

import av

from farm.domain.geometry import Box
from farm.domain.options import BOTH, FRAME, IMAGE, TIME, Look
from farm.domain.polygon import Area
from farm.domain.time import exact_time_text
from farm.domain.track import FrameTracks, look_of, number_text
from farm.errors import DamagedArtefact, SettingsError
from farm.storage.base import opened
from workers.stages.orders import Plan
from workers.vision.burning import Burner, colour_of
from workers.vision.laying import Layer, Stamp, fitted, lay, load_layer
from workers.vision.redactors.base import create_redactor
from workers.vision.redactors.painting import paint_all

#: Pictures that are kept in memory, of up to 4 MB each.
_LAYERS = 8


class Covering:
    """Covers the frames of one order."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._options, self._video = plan, plan.options.redact, plan.manifest.source.video
        self._redactor = lru_cache(partial(create_redactor, self._options))
        self._burner, self._zero = Burner(self._video), plan.manifest.zero(plan.manifest.source.container)
        self._scores: dict[int, str] = {}
        self._layer = lru_cache(maxsize=_LAYERS)(self._loaded)

    def cover(self, frame: av.VideoFrame, masks: FrameTracks) -> list[Box]:
        """Cover what the masks say in a frame of the source. Returns boxes that enclose all that was painted.

        Raises SourceError as :func:`paint_all`, SettingsError for a picture that is not in the store (any more).
        """
        if self._options.debug:
            return []
        alike: dict[object, Look] = {}  # a crowd has hundreds of boxes that are covered in one way
        looks: list[tuple[Area, Look]] = []
        for box in masks.boxes:
            way = box.kind, box.track < 0, box.override
            if way not in alike:
                alike[way] = look_of(box, self._options)
            looks.append((box.area, alike[way]))
        stamps = [self._stamp(area, look) for area, look in looks if look.style == IMAGE]
        groups = [
            ([area for area, its in looks if its == look], self._redactor(look.style), look)
            for look in sorted(set(alike.values()))
        ]
        paint_all(frame, groups, fields=self._video.interlaced)
        stamps.sort(key=lambda stamp: stamp.layer.size)  # the largest on top
        lay(frame, stamps, fields=self._video.interlaced)
        return [*(area.grown(look.margin) for area, look in looks), *(stamp.box for stamp in stamps)]

    def burn(self, frame: av.VideoFrame, number: int, masks: FrameTracks) -> list[Box]:
        """Draw on a frame what the options ask for. Returns boxes that enclose all that was painted.

        ``number``: the frame's, counted from 1 through the video.
        """
        options, said = self._options, []
        overlay = BOTH if options.debug else options.overlay or ""
        if TIME in overlay.split(","):
            assert frame.pts is not None
            said.append(exact_time_text(float((frame.pts - self._zero) * self._video.time_base)))
        if FRAME in overlay.split(","):
            said.append(f"frame {number}")
        stamps = list(self._marks(masks)) if options.debug else []
        if said:
            stamps.append(self._burner.text("  ".join(said), (0.0, 0.0)))
        lay(frame, stamps, fields=self._video.interlaced)
        return [stamp.box for stamp in stamps]

    def _marks(self, masks: FrameTracks) -> Iterator[Stamp]:
        """The outline, number and last score of each box."""
        for box in masks.boxes:
            colour, outline = colour_of(box.track), self._video.shown_polygon(box.outline)
            yield from self._burner.outline(outline, colour)
            if box.score:  # else it was carried here from the frame in which it was last looked for
                self._scores[box.track] = f" {box.score:.2f}"
            score = self._scores.get(box.track, "")
            above = outline.bounds.y - 2 * self._burner.height
            yield self._burner.text(f"{number_text(box.track)}{score}", (outline.bounds.x, above), colour)

    def _stamp(self, area: Area, look: Look) -> Stamp:
        """The picture of a look over what it covers: as large as fits into the box with its margin."""
        return fitted(self._layer(look.image), area.grown(look.margin), self._video.aspect)

    def _loaded(self, key: str) -> Layer:
        if not key:
            raise SettingsError("the style image has no picture", hint="submit the video again with --image")
        try:
            with opened(self._plan.store, key) as path:
                return load_layer(path, self._video)
        except DamagedArtefact as e:
            hint = "submit the video again, or give the picture of an edit again"
            raise SettingsError("the picture for the style image is not in the store any more", hint=hint) from e
