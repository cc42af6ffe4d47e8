"""A few frames of each chunk as the encoder got them, compared with what is in the segment."""

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from farm.domain.geometry import Box
from farm.errors import VerificationError
from farm.media.encoding.encode import SegmentWriter
from farm.media.planes import planes_of
from farm.media.verifying.fidelity import Samples, psnr, sampled
from farm.media.verifying.verify_segment import verify_segment
from tests.integration.trips import Trip, decoded


def frames_of(trip: Trip, chunk: int = 0) -> Iterator[av.VideoFrame]:
    return decoded(trip.manifest, trip.source, trip.manifest.chunks[chunk])


def sampled_from(trip: Trip, change: Callable[[Any], None], covers: tuple[Box, ...] = ()) -> Samples:
    """Samples of the first chunk as they would be had the encoder got other pictures than it did."""
    samples = Samples(trip.manifest.chunks[0].frames, trip.settings)
    for number, frame in enumerate(frames_of(trip)):
        frame.make_writable()
        change(planes_of(frame))
        samples.offer(number, frame, covers)
    return samples


def test_the_segment_is_compared_with_what_the_encoder_got(trip: Trip) -> None:
    samples = sampled_from(trip, lambda planes: None)
    verify_segment(trip.segments[0], trip.pts[0], trip.settings, samples=samples)
    assert 35 < samples.psnr < 60
    assert samples.compared == 8


def roll(planes: Any) -> None:
    for plane in planes:
        plane[...] = np.roll(plane, 1, axis=1)


def fill(planes: Any) -> None:
    for plane in planes:
        plane[...] = 90


def corner(planes: Any) -> None:
    planes[0][40:80, 60:100] = 255 - planes[0][40:80, 60:100]


@pytest.mark.parametrize("change", [roll, fill])
def test_another_picture_in_the_segment_is_noticed(trip: Trip, change: Callable[[Any], None]) -> None:
    with pytest.raises(VerificationError, match=r"frame 0, of 0\.000000 s,: (is another picture|its picture is moved)"):
        verify_segment(trip.segments[0], trip.pts[0], trip.settings, samples=sampled_from(trip, change))


def test_a_cover_that_is_not_in_the_segment_is_noticed(trip: Trip) -> None:
    samples = sampled_from(trip, corner, (Box(60, 40, 40, 40),))
    with pytest.raises(VerificationError, match="another picture than the one that was encoded where it is covered"):
        verify_segment(trip.segments[0], trip.pts[0], trip.settings, samples=samples)


def test_a_segment_whose_frames_are_late_is_noticed(trip: Trip, tmp_path: Path) -> None:
    samples = sampled_from(trip, lambda planes: None)
    late = tmp_path / "late.seg"
    frames = list(frames_of(trip))
    with SegmentWriter(late, trip.settings, 1) as writer:
        for shown, frame in zip([frames[0], *frames], frames, strict=False):
            copy = av.VideoFrame.from_ndarray(shown.to_ndarray(), format=shown.format.name)
            copy.pts, copy.time_base = frame.pts, frame.time_base
            writer.write(copy)
    with pytest.raises(VerificationError, match=r"shows frame 0 of its chunk, not frame 1"):
        verify_segment(late, trip.pts[0], trip.settings, samples=samples)


def test_frames_that_are_sampled() -> None:
    assert sampled(3, 8) == array("q", [0, 1, 2])
    assert sampled(300, 8) == array("q", [0, 1, 99, 100, 199, 200, 298, 299])
    assert sampled(300, 2) == array("q", [0, 299])
    assert psnr(255.0**2, 255) == 0
    assert psnr(1.0, 255) == pytest.approx(48.13, abs=0.01)
