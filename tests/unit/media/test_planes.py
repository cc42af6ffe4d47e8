from fractions import Fraction

import av
import numpy as np
import pytest
from av.filter import Graph

from farm.domain.manifest import VideoStream
from farm.media.planes import black_frame, black_out, format_of, groups_of, matrix_of, planes_of

#: Formats of every kind: their planes' value for black where nothing is said of the range, their chroma's grey.
KINDS = {
    "yuv420p": (16, 128),
    "yuv422p10le": (64, 512),
    "yuv444p12le": (256, 2048),
    "yuva420p": (16, 128),
    "yuva444p10le": (64, 512),
    "yuvj420p": (0, 128),
    "gray": (16, None),
    "gray10le": (64, None),
    "gbrp": (0, None),
    "gbrap": (0, None),
    "gbrp10le": (0, None),
    "rgb24": (0, None),
    "bgra": (0, None),
    "0rgb": (0, None),
}


def flipped(frame: av.VideoFrame) -> av.VideoFrame:
    """The same memory, its lines in the opposite order: how raw RGB of AVI files lies."""
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25))
    flip, sink = graph.add("vflip"), graph.add("buffersink")
    source.link_to(flip)
    flip.link_to(sink)
    graph.configure()
    graph.push(frame)
    pulled = graph.pull()
    assert isinstance(pulled, av.VideoFrame)
    return pulled


@pytest.mark.parametrize("pix_fmt", KINDS)
def test_values_of_black(pix_fmt: str) -> None:
    black, neutral = KINDS[pix_fmt]
    first, *others = groups_of(av.VideoFrame(64, 48, pix_fmt))
    assert first[2] == black
    assert [group[2] for group in others] == ([] if neutral is None else [neutral])


@pytest.mark.parametrize("pix_fmt", KINDS)
def test_views_are_the_frames_own_samples(pix_fmt: str) -> None:
    """Red, green and blue as FFmpeg converts them lie where the views say; what is written is in the frame."""
    frame = av.VideoFrame(50, 38, pix_fmt)
    pixels = format_of(pix_fmt)
    views = planes_of(frame)
    assert len(views) == (1 if pixels.family == "gray" else 3)
    assert views[0].shape == (38, 50)
    assert views[0].dtype == (np.uint8 if pixels.bits == 8 else np.uint16)
    for number, view in enumerate(views):
        view[...] = 40 + 20 * number
    assert [int(view.max()) for view in planes_of(frame)] == [40 + 20 * k for k in range(len(views))]
    if pixels.family == "rgb" and pixels.bits == 8:
        rgb = frame.to_ndarray(format="rgb24")
        assert rgb[5, 5].tolist() == [80, 40, 60]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "bgr24", "gbrp"])
def test_lines_from_below(pix_fmt: str) -> None:
    frame = av.VideoFrame(50, 38, pix_fmt)
    rng = np.random.default_rng(4)
    for view in planes_of(frame):
        view[...] = rng.integers(0, 256, view.shape, np.uint8)
    upside_down = flipped(frame)
    assert upside_down.planes[0].line_size < 0
    for a, b in zip(planes_of(frame), planes_of(upside_down), strict=True):
        assert (a == b[::-1]).all()


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pix_fmt", KINDS)
def test_a_black_frame_is_black_in_its_range_and_opaque(pix_fmt: str, full: bool) -> None:
    video = VideoStream(0, "ffv1", 35, 21, pix_fmt, Fraction(1, 25), None, None, 2 if full else 0, 2, 2, 2)
    frame = black_frame(video, 7)
    assert (frame.pts, frame.time_base, frame.format.name) == (7, Fraction(1, 25), pix_fmt)
    black, neutral = KINDS[pix_fmt]
    luma, *others = planes_of(frame)
    assert (luma == (0 if full else black)).all()
    for plane in others:
        assert (plane == (black if neutral is None else neutral)).all()
    pixels = format_of(pix_fmt)
    views = planes_of(frame, alpha=True)
    assert len(views) == 1 + len(others) + pixels.alpha
    if pixels.alpha:
        assert (views[-1] == (1 << pixels.bits) - 1).all()
    if pixels.family != "gray":  # FFmpeg's scaler takes all grey for full range
        shown = frame.reformat(format="rgba").to_ndarray()
        assert shown[..., :3].max() == 0
        assert (shown[..., 3] == 255).all() or "0" in pixels.samples
    before = [plane.copy() for plane in views]
    black_out(frame)
    for a, b in zip(before, planes_of(frame, alpha=True), strict=True):
        assert (a == b).all()


@pytest.mark.parametrize(
    ("said", "height", "matrix"), [(2, 720, 1), (2, 719, 6), (0, 1080, 1), (0, 480, 6), (9, 480, 9), (6, 2160, 6)]
)
def test_the_matrix_of_video_that_names_none(said: int, height: int, matrix: int) -> None:
    assert matrix_of(said, height) == matrix
