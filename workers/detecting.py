"""Stage detect: every frame of a chunk is looked at; what is found is written line by line."""

from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TextIO

from farm.domain.detection import (
    ChunkDetections,
    Detection,
    FrameDetections,
    dump_chunk,
    dump_frame,
    is_cut,
)
from farm.messages import Order
from farm.storage.base import Storage
from workers.frames import Decoded, decode_chunk
from workers.orders import Plan, Report, Result, Tools, make_once, read_plan
from workers.planes import layout_of
from workers.prefetch import prefetch
from workers.scaling import Small, small_picture
from workers.spent import Spent

_AHEAD = 4  # frames that one step may be ahead of the next


def run_detect(order: Order, store: Storage, tools: Tools, report: Report) -> Result:
    """Find the faces of a chunk. Decoding, scaling and detection overlap; memory does not grow with the chunk.

    Raises SourceError, ModelError, DeviceError, StorageError, and whatever ``report`` raises.
    """
    spent = Spent()
    plan = read_plan(order, store)
    key = f"detections/{order.fingerprint}/{plan.chunk.name}.jsonl"
    return make_once(store, key, plan.chunk.frames, spent, lambda path: _detect(path, plan, tools, report, spent))


def _detect(path: Path, plan: Plan, tools: Tools, report: Report, spent: Spent) -> int:
    video, chunk = plan.manifest.source.video, plan.chunk
    layout_of(video.pix_fmt)
    detector = tools.detector(plan.options.detect)
    size = detector.picture_size(video.width, video.height)
    frames = decode_chunk(plan.source, video, chunk, plan.pts(chunk), threads=tools.threads)
    decoded = prefetch(spent.each("decode", frames), _AHEAD, "decode")
    smalls = spent.each("scale", _scaled(decoded, size))
    with path.open("w", encoding="ascii") as out, closing(prefetch(smalls, _AHEAD, "scale")) as pictures:
        lines = _Lines(out)
        for batch in _batches(pictures, detector.batch_size):
            with spent.part("detect"):
                found = detector.detect([small.bgr for small in batch], (video.width, video.height))
            with spent.part("write"):
                for small, detections in zip(batch, found, strict=True):
                    lines.add(small, detections)
            report(lines.frames)
        lines.end()
    plan.check_source()
    return lines.frames


def _scaled(frames: Generator[Decoded, None, None], size: tuple[int, int]) -> Generator[Small, None, None]:
    with closing(frames):
        for decoded in frames:
            yield small_picture(decoded.frame, *size)


def _batches(pictures: Iterator[Small], size: int) -> Iterator[list[Small]]:
    while batch := list(islice(pictures, size)):
        yield batch


class _Lines:
    """Writes a chunk's detections, with the signatures at its ends and the cuts between its frames."""

    def __init__(self, out: TextIO) -> None:
        self.frames = 0
        self._out = out
        self._first = b""
        self._last = b""

    def add(self, small: Small, detections: list[Detection]) -> None:
        """The next frame."""
        cut = self.frames > 0 and is_cut(self._last, small.signature)
        self._first = self._first or small.signature
        self._last = small.signature
        self.frames += 1
        self._out.write(dump_frame(FrameDetections(small.pts, cut, tuple(detections))) + "\n")

    def end(self) -> None:
        """The last line."""
        self._out.write(dump_chunk(ChunkDetections(self.frames, self._first, self._last)) + "\n")
