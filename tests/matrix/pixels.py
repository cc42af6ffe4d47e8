"""Compare the frames of source and output pair by pair: what must be equal, and what must differ."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

#: x, y, width and height of a covered rectangle in the coded picture.
Rectangle = tuple[float, float, float, float]
Rectangles = Mapping[Fraction, Sequence[Rectangle]]
_LOOKED_AT = 8  # number of pairs whose pixels are compared
_RGB = ("bgr", "rgb", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal")


@dataclass
class Pairs:
    """The result of a comparison.

    ``source`` and ``output``: the times of all decoded frames. ``facts``: one line per difference. ``psnr``: the lowest
    PSNR (dB) outside the rectangles, over ``compared`` pairs. ``patches``: the number of rectangles and green patches
    examined; ``showing``: one line for each that is still visible. ``alpha``: the largest difference in transparency.
    """

    source: list[Fraction | None] = field(default_factory=list)
    output: list[Fraction | None] = field(default_factory=list)
    facts: dict[str, list[str]] = field(default_factory=dict)
    psnr: float = 999.0
    compared: int = 0
    patches: int = 0
    showing: list[str] = field(default_factory=list)
    alpha: float = 0.0


def facts_of(frame: Any) -> dict[str, object]:
    """Return the properties of a frame that the output's frame must have too."""
    name = frame.format.name
    rgb = name.startswith(_RGB)
    side = {str(d.type).rpartition(".")[2]: bytes(d) for d in frame.side_data if hasattr(d, "type")}
    matrix = np.frombuffer(side.get("DISPLAYMATRIX", np.eye(3, dtype=np.int32).tobytes()), np.int32)
    return {
        "size": (frame.width, frame.height),
        "pixels": name.replace("yuvj", "yuv"),
        "colour": (
            "" if rgb else (2 if "yuvj" in name or frame.color_range == 2 else 1),
            frame.color_primaries,
            frame.color_trc,
            "" if rgb else frame.colorspace,
        ),
        "fields": frame.interlaced_frame,
        "orientation": tuple(np.sign(matrix[[0, 1, 3, 4]]).tolist()) if "DISPLAYMATRIX" in side else (1, 0, 0, 1),
        "hdr": (_mastering(side.get("MASTERING_DISPLAY_METADATA")), side.get("CONTENT_LIGHT_LEVEL", b"")[:8]),
    }


def _mastering(content: bytes | None) -> object:
    """Return chromaticities to 1/5000 and luminances to 1/100 cd/m2: AV1 and HEVC write them in different units."""
    if content is None:
        return None
    numbers = np.frombuffer(content, np.int32).tolist()
    values = [a / b if b else 0 for a, b in zip(numbers[0:20:2], numbers[1:20:2], strict=True)]
    said = numbers[20:22]
    return ([round(v * 5000) for v in values[:8]] if said[0] else None, [round(v * 100) for v in values[8:]], said)


def compare(
    source: tuple[Path, int], output: tuple[Path, int], rectangles: Rectangles, expected: int, *, green: bool
) -> Pairs:
    """Decode both files in step and compare them.

    ``expected``: the approximate number of frames, used to choose the pairs whose pixels are compared. ``green``:
    whether everything bright green must be covered.
    """
    found = Pairs()
    every = max(1, expected // _LOOKED_AT)
    for number, (before, after) in enumerate(zip_longest(_frames(*source), _frames(*output))):
        for frame, times in ((before, found.source), (after, found.output)):
            if frame is not None:
                times.append(None if frame.pts is None else frame.pts * frame.time_base)
        if before is None or after is None:
            continue
        for name, fact in facts_of(before).items():
            said = facts_of(after)[name]
            if said != fact:
                found.facts.setdefault(name, []).append(f"frame {number}: {said}, the source's {fact}")
        if number % every == 0 and (before.width, before.height) == (after.width, after.height):
            when = found.output[-1]
            _look_at(found, before, after, rectangles.get(when, ()) if when is not None else (), green=green)
    return found


def _frames(path: Path, index: int) -> Iterator[Any]:
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams[index]
        # one thread: with several threads, damaged HEVC decodes to different pictures in each run
        stream.codec_context.thread_type, stream.codec_context.thread_count = "NONE", 1
        for packet in container.demux(stream):
            with suppress(av.error.InvalidDataError):  # as in ffmpeg: skip what cannot be decoded
                yield from packet.decode()


def _look_at(found: Pairs, before: Any, after: Any, rectangles: Sequence[Rectangle], *, green: bool) -> None:
    old, new = (f.reformat(format="yuv444p").to_ndarray().astype(np.int16) for f in (before, after))
    away = np.ones(old.shape[1:], bool)
    for x, y, w, h in rectangles:
        across, down = 0.55 * w + 16, 0.55 * h + 16
        away[max(0, int(y - down)) : int(y + h + down), max(0, int(x - across)) : int(x + w + across)] = False
        inner = new[0, int(y + h / 4) : int(y + h * 3 / 4) + 1, int(x + w / 4) : int(x + w * 3 / 4) + 1]
        if inner.size:
            found.patches += 1
            if inner.std() > 10:
                found.showing.append(f"a rectangle at {x:.0f},{y:.0f} still has detail (deviation {inner.std():.0f})")
    faces = _green(old)
    if green and faces.any():
        found.patches += 1
        left = float((_green(new) & faces).sum() / faces.sum())
        if left > 0.01:
            found.showing.append(f"{left:.0%} of the green still shows")
    if away.any():
        found.compared += 1
        error = float(np.square(old - new)[:, away].mean())
        found.psnr = min(found.psnr, 10 * np.log10(255**2 / error) if error else 999.0)
    if "a" in before.format.name.replace("gray", "").replace("pal", "") and "a" in after.format.name:
        alphas = [f.reformat(format="rgba").to_ndarray()[:, :, 3].astype(np.int16) for f in (before, after)]
        found.alpha = max(found.alpha, float(np.abs(alphas[0] - alphas[1]).max()))


def _green(picture: NDArray[np.int16]) -> NDArray[np.bool_]:
    luma, blue, red = picture
    found: NDArray[np.bool_] = (luma > 110) & (luma < 190) & (blue < 85) & (red < 70)
    return found
