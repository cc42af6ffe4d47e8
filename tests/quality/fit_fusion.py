"""Fits the fusion of CenterFace and YuNet on annotated pictures, and writes farm/domain/fusion.py: ``make fit-fusion``.

Each picture is shown in four views of 1280 x 720, as a video's frame. The pictures that the clips in ``truth`` show are
left out of the fit: what is fitted is measured on them.
"""

import json
import os
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from math import inf, sqrt
from pathlib import Path
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.digests import file_digest
from farm.domain import fusion
from farm.domain.detection import FACE
from farm.domain.detectors import NETWORKS, Heights, Named
from farm.domain.fusion import Fusion
from farm.models.store import ModelStore
from farm.settings import load_settings
from tests.conftest import PROJECT
from workers.vision.detectors.base import Network, Picture, network_size
from workers.vision.detectors.fusing import features, paired, probability
from workers.vision.detectors.merging import overlaps
from workers.vision.detectors.scores import Floats, thresholds_of
from workers.vision.device import Device

#: Of the set wider_val, without the suffix.
HELD_OUT = frozenset(
    {
        "0_Parade_marchingband_1_517",
        "0_Parade_marchingband_1_695",
        "0_Parade_marchingband_1_765",
        "1_Handshaking_Handshaking_1_356",
        "1_Handshaking_Handshaking_1_827",
        "22_Picnic_Picnic_22_152",
        "22_Picnic_Picnic_22_308",
        "22_Picnic_Picnic_22_313",
        "2_Demonstration_Demonstration_Or_Protest_2_314",
        "2_Demonstration_Demonstration_Or_Protest_2_771",
        "2_Demonstration_Demonstration_Or_Protest_2_816",
        "2_Demonstration_Demonstrators_2_713",
        "2_Demonstration_Political_Rally_2_339",
        "2_Demonstration_Political_Rally_2_659",
        "2_Demonstration_Political_Rally_2_816",
        "2_Demonstration_Protesters_2_1033",
        "2_Demonstration_Protesters_2_493",
        "2_Demonstration_Protesters_2_542",
        "2_Demonstration_Protesters_2_884",
        "3_Riot_Riot_3_604",
        "3_Riot_Riot_3_993",
        "4_Dancing_Dancing_4_1036",
        "4_Dancing_Dancing_4_57",
        "4_Dancing_Dancing_4_718",
        "5_Car_Accident_Car_Crash_5_457",
        "6_Funeral_Funeral_6_1029",
        "6_Funeral_Funeral_6_140",
        "6_Funeral_Funeral_6_627",
        "6_Funeral_Funeral_6_696",
        "6_Funeral_Funeral_6_760",
        "7_Cheering_Cheering_7_118",
        "7_Cheering_Cheering_7_239",
        "7_Cheering_Cheering_7_313",
        "8_Election_Campain_Election_Campaign_8_32",
        "9_Press_Conference_Press_Conference_9_129",
        "9_Press_Conference_Press_Conference_9_344",
        "9_Press_Conference_Press_Conference_9_66",
    }
)
PAIRS = (("centerface", "yunet"), ("centerface", "yunet-n"))
LONG_SIDE = 1280
FRAME = 1280, 720
ZOOMS = (1.0, 0.85, 0.7, 0.55)
LEAST = 0.05
LIMITS = (12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, inf)  # of the heights that have thresholds of their own
_HIT = 0.3  # intersection over union from which a box is of an annotated face
#: Of the height: how much more a false box must not be. 2 would be its area; a large face is worth more, too.
_DEARER = 1.5
_LEAST_VISIBLE = 0.6  # share of a face that must be in the view


class View(NamedTuple):
    """A frame, BGR; the annotated boxes, N x 4 in its pixels; which of them all annotators hold to be faces in view."""

    frame: Picture
    boxes: Floats
    sure: NDArray[np.bool_]


@dataclass
class Found:
    """Boxes in all views of some pictures, one row each. ``face``: 1, 0 or -1 for what is not judged.

    ``raw``: both raw scores; ``area``: in shares of the frame; ``hit``: which face it is, one number for each.
    """

    raw: Floats
    heights: Floats
    face: NDArray[np.int64]
    hit: NDArray[np.int64]
    area: Floats
    faces: int
    views: int

    def recall(self, ranks: Floats, false_area: float) -> float:
        """The share of faces that the boxes of the highest ranks hit, while those that are none cover this share."""
        order = np.argsort(-ranks, kind="stable")
        wrong = np.cumsum(np.where(self.face[order] == 0, self.area[order], 0)) / self.views
        kept = order[: np.searchsorted(wrong, false_area, side="right")]
        return len(set(self.hit[kept[self.face[kept] == 1]].tolist())) / self.faces

    def false_area(self, keep: NDArray[np.bool_]) -> float:
        """The share of the frames that these boxes cover where there is no face, counted box by box."""
        return float(self.area[keep & (self.face == 0)].sum() / self.views)


def views(path: Path, truth: dict[str, Any]) -> Iterator[View]:
    """The views of a picture, from the whole of it to parts. A squeezed file is stretched back first."""
    width, height = truth["orig"]
    picture = cv2.imread(str(path))
    assert picture is not None, path
    squeezed = np.array([width / picture.shape[1], height / picture.shape[0]] * 2)
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    boxes = np.array(truth["boxes_xywh"], np.float64) * squeezed
    sure = np.isin(np.arange(len(boxes)), truth["hard"])
    rng = random.Random(path.name)
    widest = min(width / FRAME[0], height / FRAME[1])  # pixels of the picture for one of the frame
    for zoom in ZOOMS:
        w, h = (side * widest * zoom for side in FRAME)
        x, y, scale = rng.uniform(0, width - w), rng.uniform(0, height - h), FRAME[0] / w
        shift = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
        shown = (boxes - [x, y, 0, 0]) * scale
        inside = np.clip(np.minimum(shown[:, :2] + shown[:, 2:], FRAME) - np.maximum(shown[:, :2], 0), 0, None)
        visible = inside.prod(axis=1) >= _LEAST_VISIBLE * shown[:, 2:].prod(axis=1)
        frame = cv2.warpAffine(picture, shift, FRAME, flags=cv2.INTER_CUBIC)
        yield View(frame.astype(np.uint8), shown, sure & visible)


def found_in(shown: Iterable[View], names: Sequence[str], networks: Sequence[Network]) -> Found:
    """What both networks find, paired, and whether it is a face."""
    rows: list[tuple[Floats, ...]] = []
    faces = 0
    for number, view in enumerate(shown):
        both = []
        faces += int(view.sure.sum())
        for name, network in zip(names, networks, strict=True):
            size = network_size(*FRAME, LONG_SIDE * NETWORKS[name].share, network.multiple)
            (boxes,) = network.find(
                [cv2.resize(view.frame, size, interpolation=cv2.INTER_AREA).astype(np.uint8)], LEAST
            )
            both.append(boxes * np.array([FRAME[0] / size[0], FRAME[1] / size[1]] * 2 + [1, 1]))
        of = paired(*both)
        ious = overlaps(of.boxes, view.boxes)
        best = ious.argmax(axis=1)
        face = np.where(ious.max(axis=1) >= _HIT, np.where(view.sure[best], 1, -1), 0)
        sides = np.clip(np.minimum(of.boxes[:, :2] + of.boxes[:, 2:4], FRAME) - np.maximum(of.boxes[:, :2], 0), 0, None)
        hit, area = best + 10_000 * number, sides.prod(axis=1) / (FRAME[0] * FRAME[1])
        rows.append((np.stack([of.first, of.second], axis=1), of.boxes[:, 3], face, hit, area))
    raw, heights, face, hit, area = (np.concatenate(column) for column in zip(*rows, strict=True))
    # heights in pixels of the first network's picture
    heights *= network_size(*FRAME, LONG_SIDE)[1] / FRAME[1]
    return Found(raw, heights, face, hit, area, faces, len(rows))


def fitted(found: Found, own: Heights) -> Fusion:
    """The logistic regression of the boxes (by Newton's method), and its thresholds.

    A box pays where the faces gained are worth the area that is covered in vain. A large face is worth more, as more
    people know it: its threshold grows with the height, not with the area. How much a face is worth follows from
    the first network's ``own`` thresholds: both cover as much in vain.
    """
    judged = found.face >= 0
    rows, faces = features(found.raw[:, 0], found.raw[:, 1], found.heights)[judged], found.face[judged]
    weights = np.zeros(rows.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-rows @ weights))
        curvature = rows.T @ (rows * (p * (1 - p))[:, None]) + 0.01 * np.eye(len(weights))
        weights += np.linalg.solve(curvature, rows.T @ (faces - p) - 0.01 * weights)
    named = tuple(round(float(w), 3) for w in weights)
    allowed = found.false_area(found.raw[:, 0] >= thresholds_of(own, found.heights))
    p = probability(named, found.raw[:, 0], found.raw[:, 1], found.heights)
    for step in range(400):  # from every box to the best only
        heights = thresholds(0.001 * 1.02**step)
        if found.false_area(p >= thresholds_of(heights, found.heights)) <= allowed:
            return Fusion(named, heights, LEAST)
    raise AssertionError("no thresholds cover so little")


def thresholds(worth: float) -> Heights:
    """The probability from which a box pays, at the middle of each range of heights.

    ``worth``: of a square of 32 x 32 pixels that is covered in vain, in faces of that size.
    """
    middles = [sqrt(a * b) for a, b in pairwise((10, *LIMITS[:-1], 300))]
    odds = [worth * (middle / 32) ** _DEARER for middle in middles]
    return tuple((limit, round(o / (1 + o), 3)) for limit, o in zip(LIMITS, odds, strict=True))


def main(footage: Path) -> None:
    """Fit each pair of networks, write what was fitted, and say what was gained on the pictures held out."""
    truth = json.loads((footage / "images" / "truth.json").read_text())["wider_val"]
    folder = footage / "images" / "wider_val"
    held_out = [name for name in sorted(truth) if Path(name).stem in HELD_OUT]
    sets = {"fitted": sorted(set(truth) - set(held_out)), "held out": held_out}
    rows = []
    for pair in PAIRS:
        networks = [network(name, footage) for name in pair]
        parts = []
        for title, names in sets.items():
            shown = (view for name in names for view in views(folder / name, truth[name]))
            parts.append((title, found_in(shown, pair, networks)))
        fit = fitted(parts[0][1], NETWORKS[pair[0]].thresholds[FACE])
        rows.append(f"    {pair}: {fit},\n".replace("'", '"'))
        for title, found in parts:
            print(f"{'+'.join(pair)}, {title}: {found.faces} faces in {found.views} views")
            report(found, fit, NETWORKS[pair[0]].thresholds[FACE])
    page = Path(fusion.__file__)
    pattern = r"(?<=make fit-fusion\n).*(?=    # end of what)"
    page.write_text(re.sub(pattern, lambda _: "".join(rows), page.read_text(), flags=re.DOTALL))


def network(name: str, footage: Path) -> Network:
    """A network on the CPU. Its weights are the farm's, or those of the footage with their SHA-256."""
    file = NETWORKS[name].weights
    assert file is not None
    files = (footage / "models").glob("*.onnx")
    path = next((path for path in files if file_digest(path) == file.sha256), None)
    path = path or ModelStore(load_settings()).ensure(file.name)
    create = import_module(f"workers.vision.detectors.{NETWORKS[name].module or name}").create
    return cast("Network", create(path, Named(NETWORKS[name]), Device("cpu", 0), 1, "onnxruntime-f32"))


def report(found: Found, fit: Fusion, own: Heights) -> None:
    """Recall at some false areas, and recall and false area with the thresholds that are in use."""
    alone = found.raw[:, 0] / thresholds_of(own, found.heights)
    p = probability(fit.weights, found.raw[:, 0], found.raw[:, 1], found.heights)
    together = np.log(p / (1 - p)) - _DEARER * np.log(found.heights)
    fused = p >= thresholds_of(fit.thresholds, found.heights)
    for name, ranks, keep in (
        ("first network", alone, alone >= 1),
        ("fused", together, fused),
        ("either", together, fused | (alone >= 1)),
    ):
        recalls = ", ".join(f"{found.recall(ranks, area):.3f} at {area:.1%}" for area in (0.001, 0.003, 0.01))
        at = len(set(found.hit[keep & (found.face == 1)].tolist())) / found.faces
        print(f"  {name:13} {recalls}; with thresholds {at:.3f} at {found.false_area(keep):.2%}")


if __name__ == "__main__":
    main(Path(os.environ.get("FARM_TEST_DATA") or PROJECT.parent / "shared" / "data"))
