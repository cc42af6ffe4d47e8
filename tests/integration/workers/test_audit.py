"""The errand ``audit`` on a real segment: what its masks left is found, where it is."""

import pytest

from farm.domain.detectors import DetectOptions
from farm.domain.geometry import Box, intersection_over_union
from farm.domain.options import RedactOptions
from farm.domain.residuals import Audit, load_look
from farm.domain.track import FrameTracks, TrackedBox
from farm.errors import DamagedArtefact
from farm.messages import Artefact
from tests.integration.workers.conftest import OPTIONS, Bench, GreenClip, MakeBench, StubTools
from workers.stages.audit import run
from workers.stages.redact import run as run_redact

STUB = DetectOptions(detector="stub", size=320)


def segment(made: Bench, chunk: int, *, covered: bool) -> Artefact:
    """A chunk whose first patch is covered or not; the second one is, always."""
    first = sum(len(part) for part in made.pts[:chunk])
    rows = []
    for n, pts in enumerate(made.pts[chunk], first):
        boxes = [TrackedBox(1, Box(250 - 3 * n, 120, 25, 30))] if n % 20 < 15 else []
        boxes += [TrackedBox(0, Box(20 + 2 * n, 40, 30, 40))] if covered else []
        rows.append(FrameTracks(pts, tuple(sorted(boxes, key=lambda box: box.track))))
    order = made.order("redact", chunk, (made.linked(rows, chunk),))
    return run_redact(order, made.store, StubTools(), lambda _: None).artefact


def audited(made: Bench, chunk: int, artefact: Artefact, every: int = 4) -> dict[int, list[Box]]:
    order = made.order("audit", chunk, (artefact,))
    order = order.model_copy(update={"request": Audit(STUB, every).request()})
    result = run(order, made.store, StubTools(), lambda _: None)
    assert result.artefact.frames == len(made.pts[chunk])
    with made.store.fetch(result.artefact.key) as path:
        looks = map(load_look, path.read_text().splitlines())
        return {pts: [face.box for face in faces] for pts, faces in looks}


@pytest.mark.parametrize("scale", [None, 160])
def test_what_masks_left_is_found_in_the_redacted_frames(
    bench: MakeBench, green_clip: GreenClip, scale: int | None
) -> None:
    made = bench(green_clip(), redact=RedactOptions(style="solid", scale=scale))
    chunk = 1
    first = len(made.pts[0])
    looked = {pts: n for n, pts in enumerate(made.pts[1], first) if n % 4 == 0}  # counted from the video's first frame
    left = audited(made, chunk, segment(made, chunk, covered=False))
    assert left.keys() == looked.keys()
    for pts, n in looked.items():
        (box,) = left[pts]
        assert intersection_over_union(box, Box(20 + 2 * n, 40, 30, 40)) > 0.7
    assert not any(audited(made, chunk, segment(made, chunk, covered=True)).values())


def test_a_damaged_segment_is_reported_as_such(bench: MakeBench, green_clip: GreenClip) -> None:
    made = bench(green_clip(), redact=OPTIONS.redact)
    artefact = segment(made, 0, covered=True)
    file = made.folder / artefact.key
    file.chmod(0o600)
    file.write_bytes(b"no video")
    with pytest.raises(DamagedArtefact):
        audited(made, 0, artefact)
