"""The detector: networks, each looking at a frame in several sizes and at overlapping tiles of it, as one."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from farm.domain.detection import FACE, PLATE, WEAK, Detection
from farm.domain.detectors import LEAST_SMALL, SMALL, DetectOptions, Heights, Named
from farm.domain.fusion import FUSIONS
from farm.domain.geometry import Box
from farm.domain.quality import Looks, resolved
from farm.models.brought import check_files
from workers.vision.detectors.base import Candidates, Detector, Factory, Network, Picture, network_size
from workers.vision.detectors.fusing import fused_scores, paired
from workers.vision.detectors.merging import MERGED
from workers.vision.detectors.scores import Floats, least_of, lowered, normalised
from workers.vision.device import Device

#: How much of a tile its neighbour shows, too: a face up to this size is whole in one of them.
_OVERLAP = 0.2
#: A box this near to a tile's edge inside the picture (in pixels of the network) may be a part of a face.
_CUT = 2.0


@dataclass(frozen=True, slots=True)
class Part:
    """A network of a detector. ``thresholds``: by kind; ``small``: those of small pictures, where they are others."""

    named: Named
    network: Network
    thresholds: Mapping[str, Heights]
    small: Mapping[str, Heights]

    def thresholds_of(self, view: "View") -> Mapping[str, Heights]:
        """The thresholds for boxes in a view."""
        if not (view.small and self.small):
            return self.thresholds
        share = min(1.0, max(view.whole) / LEAST_SMALL)
        return {kind: tuple((end * share, t) for end, t in heights) for kind, heights in self.small.items()}

    def long_side(self, size: float) -> float:
        """The long side in pixels at which the network looks where ``--detect-size`` is ``size``."""
        return min(size * self.named.network.share, self.named.network.largest)


@dataclass(frozen=True, slots=True)
class View:
    """What a network is shown: of the frame scaled to ``whole`` (width, height), the ``size`` at ``corner`` (x, y)."""

    whole: tuple[int, int]
    corner: tuple[int, int]
    size: tuple[int, int]

    @property
    def small(self) -> bool:
        """Whether thresholds for small pictures apply."""
        return max(self.whole) < SMALL


class Combined:
    """See :class:`workers.vision.detectors.base.Detector`.

    It is given each frame in the largest size that one of its networks needs, and derives the others.
    """

    def __init__(self, parts: Sequence[Part], looks: Looks) -> None:
        names = {part.named.network.name for part in parts}
        pair = next((pair for pair in FUSIONS if names.issuperset(pair)), None)
        self._fused = FUSIONS[pair].lowered(looks.factor) if pair else None
        # the networks that are fused come first, in the order of the fusion
        order = {name: at for at, name in enumerate(pair or ())}
        self._parts = tuple(sorted(parts, key=lambda part: order.get(part.named.network.name, 2)))
        self._looks = looks
        self.batch_size = max(part.network.batch_size for part in parts)
        self._views = lru_cache(maxsize=4)(self._made_views)

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        """See :meth:`workers.vision.detectors.base.Detector.picture_size`."""
        largest = self._looks.sizes[0] / tile_share(self._looks.tiles)
        sizes = [network_size(width, height, p.long_side(largest), p.network.multiple) for p in self._parts]
        return max(sizes, key=lambda size: size[0] * size[1])

    def detect(self, pictures: Sequence[Picture], source: tuple[int, int]) -> list[list[Detection]]:
        """See :meth:`workers.vision.detectors.base.Detector.detect`."""
        if not pictures:
            return []
        height, width = pictures[0].shape[:2]
        views = self._views(width, height)
        found = [self._found(part, pictures, [row[at] for row in views]) for at, part in enumerate(self._parts)]
        return [self._detections([one[n] for one in found], views, source) for n in range(len(pictures))]

    def _made_views(self, width: int, height: int) -> list[tuple[View, ...]]:
        """For each size and tile, the view of each network; ``width`` x ``height`` is the size of the pictures given.

        Sizes and tiles that would show nothing new, because the frame is too small for them, are left out.
        """
        tiles = self._looks.tiles
        rows: list[tuple[View, ...]] = []
        rows.extend(tuple(_whole(part, width, height, size) for part in self._parts) for size in self._looks.sizes)
        if tiles > 1:
            enlarged = self._looks.sizes[0] / tile_share(tiles)
            wholes = [_whole(part, width, height, enlarged) for part in self._parts]
            if all(whole.size[0] > row.size[0] for whole, row in zip(wholes, rows[0], strict=True)):
                pairs = zip(wholes, self._parts, strict=True)
                rows += zip(*(_tiles(w.whole, tiles, p.network.multiple) for w, p in pairs), strict=True)
        return list(dict.fromkeys(rows))

    def _found(self, part: Part, pictures: Sequence[Picture], views: Sequence[View]) -> list[list[Candidates]]:
        """For each picture the boxes that a network finds in each view, in pixels of the view."""
        least = least_of([*part.thresholds.values(), *part.small.values()], self._looks.threshold)
        if self._fused and part in self._parts[:2]:
            least = min(least, self._fused.least)
        by_size: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for at, view in enumerate(views):
            by_size[view.size] += [(n, at) for n in range(len(pictures))]
        found: list[list[Candidates]] = [[np.zeros((0, 6), np.float32)] * len(views) for _ in pictures]
        scaled = lru_cache(maxsize=None)(lambda n, whole: _resized(pictures[n], whole))
        for places in by_size.values():
            shown = [_cropped(scaled(n, views[at].whole), views[at]) for n, at in places]
            for (n, at), boxes in zip(places, part.network.find(shown, least), strict=True):
                found[n][at] = boxes
        return found

    def _detections(
        self, found: Sequence[Sequence[Candidates]], views: Sequence[tuple[View, ...]], source: tuple[int, int]
    ) -> list[Detection]:
        """One frame's detections, best first. ``found``: by network and view."""
        by_kind: dict[str, list[Floats]] = defaultdict(list)
        for at, row in enumerate(views):
            beside = row[0].small and row[0].whole[0] < views[0][0].whole[0]
            for kind, boxes in self._scored([one[at] for one in found], row, source, beside=beside):
                by_kind[kind].append(boxes)
        detections: list[Detection] = []
        for kind, parts in by_kind.items():
            boxes = np.concatenate(parts)
            merged = (
                MERGED[self._looks.merge](boxes) if len(parts) > 1 else boxes[np.argsort(-boxes[:, 4], kind="stable")]
            )
            detections += [
                Detection(Box(x, y, w, h).rounded(), round(score, 4), kind)
                for x, y, w, h, score, _ in merged.tolist()
                if kind == PLATE or self._wanted(max(w, h))
            ]
        return sorted(detections, key=lambda d: -d.score)

    def _scored(
        self, found: Sequence[Candidates], views: Sequence[View], source: tuple[int, int], *, beside: bool
    ) -> Iterator[tuple[str, Floats]]:
        """The boxes of one view by kind: N x 6: x, y, w, h in pixels of the source, normalised score, cut by a tile."""
        rows = [placed(boxes, view, source) for boxes, view in zip(found, views, strict=True)]
        fused = self._fused is not None and not beside
        if fused:
            yield FACE, self._fused_faces(rows[0], rows[1], source, views[0])
        for part, boxes, placed_boxes, view in list(zip(self._parts, found, rows, views, strict=True))[2 * fused :]:
            least = part.named.network.beside if beside else 0.0
            for index, name in enumerate(part.network.kinds):
                of = (boxes[:, 5] == index) & (boxes[:, 3] >= least)
                thresholds = part.thresholds_of(view)[name]
                scores = normalised(boxes[of, 4], boxes[of, 3], thresholds, self._looks.threshold)
                yield PLATE if name == PLATE else FACE, scored(placed_boxes[of], scores)

    def _fused_faces(self, first: Floats, second: Floats, source: tuple[int, int], view: View) -> Floats:
        """As :meth:`_scored`, for both networks. ``view``: of the first one."""
        assert self._fused is not None
        found, own = paired(first, second), self._parts[0].thresholds_of(view)[FACE]
        heights = found.boxes[:, 3] * (view.whole[1] / source[1])
        return scored(found.boxes, fused_scores(self._fused, own, found, heights, self._looks.threshold))

    def _wanted(self, size: float) -> bool:
        least, most = self._looks.min_size, self._looks.max_size
        return (least is None or size >= least) and (most is None or size <= most)


def tile_share(tiles: int) -> float:
    """The share of a frame's side that one of ``tiles`` overlapping tiles has."""
    return 1 / (tiles - _OVERLAP * (tiles - 1))


def _whole(part: Part, width: int, height: int, size: float) -> View:
    scaled = network_size(width, height, part.long_side(size), part.network.multiple, 1.0)
    return View(scaled, (0, 0), scaled)


def _tiles(whole: tuple[int, int], tiles: int, multiple: int) -> list[View]:
    """Tiles of one size that cover a frame of the size ``whole``, row by row."""
    size = cast("tuple[int, int]", tuple(min(w, -(-w * tile_share(tiles) // multiple) * multiple) for w in whole))
    size = int(size[0]), int(size[1])
    xs, ys = ([round(k * (w - t) / (tiles - 1)) for k in range(tiles)] for w, t in zip(whole, size, strict=True))
    return [View(whole, (x, y), size) for y in ys for x in xs]


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    if picture.shape[1::-1] == size:
        return picture
    return cast("Picture", cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _cropped(picture: Picture, view: View) -> Picture:
    (x, y), (w, h) = view.corner, view.size
    return picture[y : y + h, x : x + w]


def scored(boxes: Floats, scores: Floats) -> Floats:
    """Boxes with these scores in place of their own; only those that are not too weak."""
    boxes = boxes.copy()
    boxes[:, 4] = scores
    kept: Floats = boxes[scores >= WEAK]
    return kept


def placed(boxes: Candidates, view: View, source: tuple[int, int]) -> Floats:
    """A view's boxes on the source, float64 N x 6: x, y, w, h in its pixels, score, whether a tile's edge cuts it."""
    x, y, w, h, scores = boxes[:, :5].astype(np.float64).T
    (x0, y0), (wide, high), (width, height) = view.corner, view.size, view.whole
    cut = ((x < _CUT) & (x0 > 0)) | ((y < _CUT) & (y0 > 0))
    cut |= ((x + w > wide - _CUT) & (x0 + wide < width)) | ((y + h > high - _CUT) & (y0 + high < height))
    across, down = source[0] / width, source[1] / height
    return np.stack([(x + x0) * across, (y + y0) * down, w * across, h * down, scores, cut], axis=1)


def create_detector(
    options: DetectOptions, device: Device, *, threads: int, weights: Callable[[str], Path]
) -> Detector:
    """The detector of these options on ``device``: of each network ``create`` in ``workers.vision.detectors.NAME``.

    ``weights`` finds the file of a model's weights. Raises ModelError for unusable weights, or for a user's files that
    are not those of when the job was submitted; DeviceError when the device
    or ``options.runtime`` cannot be used.
    """
    looks, parts = resolved(options), []
    check_files(looks.networks, options.files)
    for one in looks.networks:
        path = None if one.network.weights is None else weights(one.network.weights.name)
        create = cast(
            "Factory", import_module(f"workers.vision.detectors.{one.network.module or one.network.name}").create
        )
        network = create(path, one, device, threads, options.runtime or "")
        # what a file describes knows its thresholds itself
        thresholds = one.network.thresholds or network.thresholds  # type: ignore[attr-defined]
        parts.append(Part(one, network, *(lowered(of, looks.factor) for of in (thresholds, one.network.small))))
    return Combined(parts, looks)
