"""What becomes of frames that cannot be decoded, of deep, interlaced, turned and shrunk pictures: all the way."""

import subprocess
from collections.abc import Callable, Generator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.domain.geometry import Box
from farm.domain.options import Override, RedactOptions
from farm.domain.pixels import plain_format
from farm.domain.track import FrameTracks, TrackedBox
from farm.errors import SourceError
from farm.executables import find_ffmpeg
from farm.media.planes import planes_of
from farm.media.reading.chunk import Decoded, decode_chunk
from tests.integration.workers.conftest import Bench, GreenClip, MakeBench, StubTools, found_in
from workers.stages import orders
from workers.stages.detect import run as run_detect
from workers.stages.orders import Result
from workers.stages.redact import run as run_redact
from workers.vision.detectors.base import Detector

BLACK = frozenset({2, 3, 7})
Variant = Callable[..., Path]


def redact(made: Bench) -> Result:
    tracks = made.tracks(0, made.detections(made.detect(0)))
    return run_redact(made.order("redact", 0, (tracks,)), made.store, StubTools(), lambda _: None)


def segment(made: Bench, result: Result) -> list[av.VideoFrame]:
    with made.store.fetch(result.artefact.key) as path, av.open(str(path)) as container:
        return list(container.decode(video=0))


def green(frame: av.VideoFrame) -> int:
    picture = frame.to_ndarray(format="bgr24")
    return int(((picture[:, :, 1] > 170) & (picture[:, :, 0] < 90) & (picture[:, :, 2] < 90)).sum())


@pytest.fixture
def variant(green_clip: GreenClip, tmp_path: Path) -> Variant:
    """``variant("-c:v", …, suffix=".mkv")``: ten frames of the clip with green patches, encoded so by ffmpeg."""

    def make(*words: object, suffix: str = ".mp4") -> Path:
        path = tmp_path / f"variant{suffix}"
        arguments = ["-i", green_clip(frames=10), *words, path]
        subprocess.run([str(find_ffmpeg().path), "-v", "error", *map(str, arguments)], check=True)
        return path

    return make


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Frames of the numbers in this set stand for ones that could not be decoded, wherever chunks are decoded."""
    numbers = set(BLACK)

    def decode(*args: Any, **kwargs: Any) -> Generator[Decoded, None, None]:
        for number, decoded in enumerate(decode_chunk(*args, **kwargs)):
            yield replace(decoded, black=number in numbers)

    monkeypatch.setattr(orders, "decode_chunk", decode)
    return numbers


class Watched(StubTools):
    """Counts what its detector is shown."""

    def __init__(self) -> None:
        self.shown = 0

    def detector(self, options: Any) -> Detector:
        made = super().detector(options)
        detect = made.detect

        def counted(pictures: Any, source: tuple[int, int]) -> Any:
            self.shown += len(pictures)
            assert pictures
            return detect(pictures, source)

        made.detect = counted  # type: ignore[method-assign]
        return made


@pytest.mark.parametrize("numbers", [BLACK, frozenset(range(10)), frozenset({0, 9})])
def test_nobody_looks_at_a_frame_that_cannot_be_decoded(
    bench: MakeBench, green_clip: GreenClip, damaged: set[int], numbers: frozenset[int]
) -> None:
    damaged.clear()
    damaged.update(numbers)
    made, tools = bench(green_clip(frames=10), 100), Watched()
    result = run_detect(made.order("detect"), made.store, tools, lambda _: None)
    frames = made.detections(result)
    assert tools.shown == 10 - len(numbers)
    assert [f.pts for f in frames] == made.pts[0]
    assert {k for k, f in enumerate(frames) if f.black} == numbers
    assert [len(found_in(f)) for f in frames] == [0 if k in numbers else 2 for k in range(10)]
    assert not any(f.cut for f in frames)


@pytest.mark.parametrize("said_by", ["decoder", "tracks"])
def test_a_black_frame_is_black_whoever_says_so(
    bench: MakeBench, green_clip: GreenClip, damaged: set[int], said_by: str
) -> None:
    made = bench(green_clip(frames=10), 100)
    found = made.detections(made.detect(0))
    if said_by == "tracks":
        damaged.clear()
    else:
        found = [replace(frame, black=False, detections=frame.detections or ()) for frame in found]
    tracks = made.tracks(0, found)
    result = run_redact(made.order("redact", 0, (tracks,)), made.store, StubTools(), lambda _: None)
    frames = segment(made, result)
    assert len(frames) == 10
    for number, frame in enumerate(frames):
        luma, *chroma = planes_of(frame)
        if number in BLACK:
            assert luma.max() <= 20
            assert all(np.abs(plane.astype(int) - 128).max() <= 4 for plane in chroma)
        else:
            assert luma.max() > 60


@pytest.mark.parametrize(
    ("words", "suffix", "pix_fmt"),
    [
        (("-c:v", "libx264", "-crf", 12, "-pix_fmt", "yuv420p10le"), ".mp4", "yuv420p10le"),
        (("-c:v", "ffv1", "-pix_fmt", "yuv422p12le"), ".mkv", "yuv422p12le"),
        (("-c:v", "ffv1", "-pix_fmt", "gbrp10le"), ".mkv", "gbrp10le"),
        (("-c:v", "ffv1", "-pix_fmt", "bgra"), ".mkv", "bgra"),
        (("-c:v", "ffv1", "-pix_fmt", "yuva420p"), ".mkv", "yuva420p"),
        (("-c:v", "rawvideo", "-pix_fmt", "bgr24", "-flipped_raw_rgb", 1), ".avi", "bgr24"),
    ],
)
def test_faces_in_other_formats(
    bench: MakeBench, variant: Variant, words: tuple[object, ...], suffix: str, pix_fmt: str
) -> None:
    made = bench(variant(*words, suffix=suffix), 100)
    assert plain_format(made.manifest.source.video.pix_fmt) == pix_fmt
    made.options = replace(made.options, redact=RedactOptions(style="solid"))
    assert all(len(found_in(frame)) == 2 for frame in made.detections(made.detect(0)))
    frames = segment(made, redact(made))
    assert max(map(green, frames)) < 10
    with av.open(str(made.source)) as container:
        assert min(map(green, container.decode(video=0))) > 800


def test_fields_stay_apart(bench: MakeBench, variant: Variant) -> None:
    """One field light, one dark, and green patches in both: each is painted with its own."""
    lines = "geq=lum='if(mod(Y,2),lum(X,Y)+60,lum(X,Y)/2)':cb='cb(X,Y)':cr='cr(X,Y)',setfield=tff"
    source = variant("-vf", lines, "-c:v", "ffv1", "-pix_fmt", "yuv444p", suffix=".mkv")
    made = bench(source, 100)
    assert made.manifest.source.video.fields == "tff"
    assert all(found_in(frame) for frame in made.detections(made.detect(0)))
    frames = segment(made, redact(made))
    for before, after in zip(decoded(source), frames, strict=True):
        for first in (0, 1):
            old, new = (planes_of(frame)[0][first::2].astype(int) for frame in (before, after))
            changed = np.abs(old - new) > 3
            assert changed.sum() > 200
            # an average of the field's own: within what the field has
            assert old.min() - 3 <= new.min()
            assert new.max() <= old.max() + 3
    dark, light = (np.array([planes_of(f)[0][k::2].mean() for f in frames]) for k in (0, 1))
    assert (light - dark > 60).all()


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def test_scaled_down(bench: MakeBench, green_clip: GreenClip) -> None:
    made = bench(green_clip(frames=10), 100, RedactOptions(style="solid", scale=160))
    frames = segment(made, redact(made))
    assert {(frame.width, frame.height) for frame in frames} == {(160, 96)}
    assert all(a.pts < b.pts for a, b in pairwise(frames) if a.pts is not None and b.pts is not None)
    assert max(map(green, frames)) < 5
    for frame, source in zip(frames, decoded(made.source), strict=True):
        small: NDArray[np.uint8] = planes_of(source.reformat(160, 96, interpolation="AREA"))[0].astype(np.uint8)
        assert np.median(np.abs(planes_of(frame)[0].astype(int) - small)) <= 3


def test_an_interlaced_video_is_not_scaled(bench: MakeBench, variant: Variant) -> None:
    source = variant("-vf", "setfield=tff", "-c:v", "libx264", "-flags", "+ildct+ilme", "-x264-params", "tff=1")
    with pytest.raises(SourceError, match="interlaced"):
        bench(source, 100, RedactOptions(scale=160))


def test_the_manifest_names_the_encoder_and_not_what_this_machine_would_choose(
    bench: MakeBench, green_clip: GreenClip
) -> None:
    made = bench(green_clip(frames=10), 100, RedactOptions(codec="ffv1"))
    made.options = replace(made.options, redact=RedactOptions())  # of which H.264 would be chosen
    frames = segment(made, redact(made))
    assert {frame.format.name for frame in frames} == {"yuv420p"}
    with made.store.fetch(redact(made).artefact.key) as path, av.open(str(path)) as written:
        assert written.streams.video[0].codec_context.name == "ffv1"


def test_a_box_with_a_style_of_its_own_is_covered_so_and_the_others_as_the_job_says(
    bench: MakeBench, green_clip: GreenClip
) -> None:
    """A solid cover is black; a blurred one is as bright as what it covers."""
    made = bench(green_clip(frames=10), None)
    solid, blurred = Box(30, 100, 60, 60), Box(200, 20, 60, 60)
    boxes = (TrackedBox(0, solid, override=Override(style="solid", shape="rectangle")), TrackedBox(1, blurred))
    rows = [FrameTracks(pts, boxes) for pts in made.pts[0]]
    result = run_redact(made.order("redact", 0, (made.linked(rows),)), made.store, StubTools(), lambda _: None)
    for frame in segment(made, result):
        luma = planes_of(frame)[0].astype(int)
        bright = [luma[int(b.y) + 5 : int(b.y) + 55, int(b.x) + 5 : int(b.x) + 55].mean() for b in (solid, blurred)]
        assert bright[0] < 30, bright
        assert bright[1] > 60, bright
