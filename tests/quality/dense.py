"""Part ``dense``: what a preset covers of what the strongest setting finds by looking at every frame."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.geometry import Box
from farm.domain.track import FrameTracks
from tests.quality.clips import real_clips
from tests.quality.footage import Skipped
from tests.quality.options import Options
from tests.quality.recognition import FULLY
from tests.quality.reid import options_of
from tests.quality.report import Section, table
from tests.quality.running import RefusedError, redact, tracks_of
from tests.quality.settings import presets_of, strongest_of
from tests.quality.sizes import CLASSES, size_class

#: A reference box is covered if this share of it is.
_COVERED = 0.9
#: A picture is compared at this many pixels across.
_ACROSS = 480
#: The reference's boxes are grown by this before what a preset covers counts as beyond them.
_NEAR = 0.6
_MARGIN = options_of("blur").margin

Mask = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Compared:
    """Reference boxes by size class, how many of them were covered, and the area (0 to 1) covered beyond them."""

    seen: Counter[str]
    covered: Counter[str]
    beyond: float
    frames: int


def measure(options: Options) -> Section:
    """A row for each preset on each clip."""
    reference = strongest_of(options)
    sizes = [f"{name.replace('-', '–')} px" for name in CLASSES]
    head: list[object] = ["", "clip", "reference boxes", "covered %", *sizes, "beyond %"]
    rows: list[list[object]] = [head]
    left_out = []
    for clip in real_clips()[: options.limit or None]:
        try:
            strong = tracks_of(redact(reference, clip, options.work))
        except RefusedError as reason:
            left_out.append(f"`{reference.name}`, {clip.name}: {reason}")
            continue
        for setting in presets_of(options):
            if setting == reference:
                continue
            try:
                weak = tracks_of(redact(setting, clip, options.work))
            except RefusedError as reason:
                left_out.append(f"`{setting.name}`, {clip.name}: {reason}")
                continue
            rows.append(row_of(setting.name, clip.stem, compare(strong, weak, size_of(clip))))
            print(f"dense: {setting.name}, {clip.name}", file=sys.stderr, flush=True)
    if len(rows) == 1:
        raise Skipped("; ".join(left_out))
    ran = (
        f"Real footage. Reference: the boxes of `{reference.name}`; where it covers what is no face, that counts as "
        f"one. A reference box is covered if {_COVERED:.0%} of it lie where a cover has full strength. *Beyond*: the "
        "share of the picture that is covered away from the reference."
    )
    return Section(
        "dense", "Against looks at every frame", ran, [table(rows), *(f"Not measured: {x}" for x in left_out)]
    )


def row_of(setting: str, clip: str, found: Compared) -> list[object]:
    """A row of the table."""
    shares = [f"{100 * found.covered[c] / found.seen[c]:.2f}" if found.seen[c] else "–" for c in CLASSES]
    total = found.seen.total()
    share = f"{100 * found.covered.total() / total:.2f}" if total else "–"
    return [f"`{setting}`", clip, total, share, *shares, f"{100 * found.beyond:.3f}"]


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a video in pixels."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height


def compare(strong: Sequence[FrameTracks], weak: Sequence[FrameTracks], size: tuple[int, int]) -> Compared:
    """What ``weak`` covers of the boxes of ``strong``, in a picture of ``size``. Raises ValueError for other frames."""
    seen: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    beyond = 0.0
    for reference, given in zip(strong, weak, strict=True):
        if reference.pts != given.pts:
            raise ValueError(f"frames of pts {reference.pts} and {given.pts}")
        mask = full_strength([b.box for b in given.boxes], size)
        scale = mask.shape[1] / size[0]
        for tracked in reference.boxes:
            part = _cut(mask, tracked.box, scale)
            name = size_class(tracked.box)
            if name is not None and part.size:
                seen[name] += 1
                covered[name] += int(part.mean() >= _COVERED)
        near = np.zeros_like(mask)
        for tracked in reference.boxes:
            _cut(near, tracked.box.grown(_NEAR), scale)[...] = 1
        beyond += float((mask & (1 - near)).mean())
    return Compared(seen, covered, beyond / max(1, len(strong)), len(strong))


def full_strength(boxes: Iterable[Box], size: tuple[int, int]) -> Mask:
    """Where the default cover of the boxes replaces a picture wholly: 0 or 1, at a smaller size."""
    scale = min(1.0, _ACROSS / size[0])
    mask = np.zeros((max(1, round(size[1] * scale)), max(1, round(size[0] * scale))), np.uint8)
    for box in boxes:
        grown = box.grown(_MARGIN)
        x, y = grown.centre
        radii = grown.w / 2 * FULLY * scale, grown.h / 2 * FULLY * scale
        # 4 bits of fraction
        centre = round((x * scale - 0.5) * 16), round((y * scale - 0.5) * 16)
        axes = max(1, round(radii[0] * 16)), max(1, round(radii[1] * 16))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, cv2.FILLED, cv2.LINE_8, 4)
    return mask


def _cut(mask: Mask, box: Box, scale: float) -> Mask:
    x0, y0 = max(0, round(box.x * scale)), max(0, round(box.y * scale))
    x1, y1 = max(0, round((box.x + box.w) * scale)), max(0, round((box.y + box.h) * scale))
    return mask[y0:y1, x0:x1]
