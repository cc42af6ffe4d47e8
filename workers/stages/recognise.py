"""Errand recognise: looks at some faces of a chunk's tracks, and writes a vector for each.

Which ones: :mod:`farm.domain.sampling`. What it writes is biometric; the coordinator deletes it once it was used.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from farm.domain.faces import Face, dump_face
from farm.domain.recognisers import PeopleOptions
from farm.domain.sampling import sampled, step_of
from farm.domain.track import TrackedBox, load_frame
from farm.messages import Order
from farm.storage.base import Storage, opened
from workers.stages.orders import Plan, Report, Result, Tools, make_once, read_plan
from workers.stages.spent import Spent
from workers.vision.recognisers.reading import FaceReader
from workers.vision.scaling import small_picture


class ReadingTools(Tools, Protocol):
    """Tools with a recogniser."""

    def reader(self, options: PeopleOptions) -> FaceReader:
        """What reads faces by these options' recogniser. Raises ModelError, DeviceError."""
        ...


def run(order: Order, store: Storage, tools: ReadingTools, report: Report) -> Result:
    """Look at faces of a chunk; ``order.inputs`` holds its tracks. Memory does not grow with the chunk.

    Raises SourceError, ModelError, DeviceError, StorageError, VerificationError, and whatever ``report`` raises.
    """
    tools.free_detectors()
    spent = Spent()
    plan = read_plan(order, store)
    return make_once(plan, plan.chunk.frames, spent, lambda path: _recognise(path, plan, tools, report, spent))


def _recognise(path: Path, plan: Plan, tools: ReadingTools, report: Report, spent: Spent) -> int:
    video, wanted = plan.manifest.source.video, _wanted(plan)
    with path.open("w", encoding="ascii") as out:
        if wanted:
            reader, last = tools.reader(plan.options.people), max(wanted)
            report(0)
            with closing(plan.decoded(plan.pts(plan.chunk), tools.threads, spent)) as frames:
                for number, decoded in enumerate(frames, 1):
                    pts = decoded.frame.pts
                    if pts in wanted and not decoded.black:
                        with spent.part("recognise"):
                            shown = small_picture(
                                decoded.frame, *video.shown_size, video.orientation, video.color_transfer
                            )
                            boxes = wanted[pts]
                            found = reader.read(shown, [video.shown_box(box.box) for box in boxes])
                        for box, (quality, vector) in zip(boxes, found, strict=True):
                            out.write(dump_face(Face(box.track, pts, box.box, quality, vector)) + "\n")
                    report(number)
                    if pts == last:
                        break
    plan.check_source()
    return plan.chunk.frames


def _wanted(plan: Plan) -> dict[int, Sequence[TrackedBox]]:
    """The faces of each frame that are looked at, by the frame's pts. Small ones say nothing, and are left out."""
    manifest, smallest = plan.manifest, plan.options.people.likeness.smallest
    first, step = manifest.frames_before(plan.chunk.index), step_of(manifest.frames, manifest.seconds)
    (tracks,) = plan.order.inputs
    found: dict[int, Sequence[TrackedBox]] = {}
    with opened(plan.store, tracks.key) as path, path.open(encoding="ascii") as lines:
        for number, line in enumerate(lines, first):
            frame = load_frame(line)
            shown = [(box, manifest.source.video.shown_box(box.box)) for box in sampled(frame, number, step)]
            if large := [box for box, seen in shown if min(seen.w, seen.h) >= smallest]:
                found[frame.pts] = large
    return found
