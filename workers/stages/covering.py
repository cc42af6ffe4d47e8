"""Covers the boxes and polygons of a frame's masks, each in its own way, and lays pictures over them."""

from functools import lru_cache, partial

import av

from farm.domain.geometry import Box
from farm.domain.options import IMAGE, Look
from farm.domain.polygon import Area
from farm.domain.track import FrameTracks, look_of
from farm.errors import DamagedArtefact, SettingsError
from farm.storage.base import opened
from workers.stages.orders import Plan
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
        self._layer = lru_cache(maxsize=_LAYERS)(self._loaded)

    def cover(self, frame: av.VideoFrame, masks: FrameTracks) -> list[Box]:
        """Cover what the masks say in a frame of the source. Returns boxes that enclose all that was painted.

        Raises SourceError as :func:`paint_all`, SettingsError for a picture that is not in the store (any more).
        """
        looks = [(box.area, look_of(box, self._options)) for box in masks.boxes]
        stamps = [self._stamp(area, look) for area, look in looks if look.style == IMAGE]
        groups = [
            ([area for area, its in looks if its == look], self._redactor(look.style), look)
            for look in sorted({look for _, look in looks})
        ]
        paint_all(frame, groups, fields=self._video.interlaced)
        stamps.sort(key=lambda stamp: stamp.layer.size)  # the largest on top
        lay(frame, stamps, fields=self._video.interlaced)
        return [*(area.grown(look.margin) for area, look in looks), *(stamp.box for stamp in stamps)]

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
