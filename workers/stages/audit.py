"""Errand audit: looks at a redacted segment with a detector, as it looks at a source. See farm.domain.residuals."""

from collections.abc import Generator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path

import av
import av.error

from farm.domain.residuals import dump_look, load_audit
from farm.errors import DamagedArtefact, VerificationError
from farm.messages import Order
from farm.storage.base import Storage, opened
from workers.stages.detect import found_in
from workers.stages.orders import Plan, Report, Result, Tools, make_once, read_plan
from workers.stages.spent import Spent


def run(order: Order, store: Storage, tools: Tools, report: Report) -> Result:
    """Write what the detector finds in one of ``every`` frames of a segment; frames are counted from the video's first.

    Raises ModelError, DeviceError, StorageError, DamagedArtefact, VerificationError, and whatever ``report`` raises.
    """
    spent = Spent()
    plan = read_plan(order, store, of_source=False)
    return make_once(plan, plan.chunk.frames, spent, lambda path: _audit(path, plan, tools, report, spent))


def _audit(path: Path, plan: Plan, tools: Tools, report: Report, spent: Spent) -> int:
    audit, video = load_audit(plan.order.request), plan.manifest.source.video
    (segment,) = plan.order.inputs
    first, pts = plan.manifest.frames_before(plan.chunk.index), plan.pts(plan.chunk)
    detector = tools.detector(audit.detect)
    report(0)
    count, waiting = 0, list[tuple[int, av.VideoFrame]]()
    with (
        opened(plan.store, segment.key) as file,
        path.open("w", encoding="ascii") as out,
        closing(_frames(file, segment.key, tools.threads)) as frames,
    ):

        def look() -> None:
            found = found_in([frame for _, frame in waiting], detector, video, spent) if waiting else []
            out.writelines(dump_look(at, faces) + "\n" for (at, _), faces in zip(waiting, found, strict=True))
            waiting.clear()

        for frame, at in zip_longest(frames, pts):
            if frame is None or at is None:
                raise VerificationError(f"{segment.key}: not the {len(pts)} frames of its chunk")
            if (first + count) % audit.every == 0:
                waiting.append((at, frame))
            if len(waiting) >= detector.batch_size:
                look()
            count += 1
            report(count)
        look()
    return count


def _frames(path: Path, key: str, threads: int) -> Generator[av.VideoFrame, None, None]:
    """All frames of a segment. Raises DamagedArtefact."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = threads
            yield from container.decode(stream)
    except av.error.FFmpegError as e:
        raise DamagedArtefact(key) from e
