"""Stills are the frames that were asked for, as a player shows them, wherever a file has its key frames."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from farm.domain.manifest import Manifest
from farm.media.reading.stills import Still, stills
from tests.conftest import ClipMaker
from tests.integration.trips import rendered
from tests.planned import plan_of

#: File, and what FFmpeg is told to write it.
FORMS = {
    "clip.mp4": ["-c", "copy"],
    "clip.mkv": ["-c", "copy"],
    "clip.ts": ["-c", "copy"],
    "long.mp4": ["-g", "1000", "-preset", "veryfast"],
    "clip.avi": ["-c:v", "mpeg4", "-q:v", "2", "-g", "12"],
}


def sequential(path: Path, manifest: Manifest) -> dict[int, Still]:
    """All frames, decoded from the beginning."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert manifest.frames == len(frames)
    return {
        frame.pts: np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames if frame.pts is not None
    }


@pytest.mark.parametrize("name", FORMS)
def test_a_still_is_the_frame_of_its_pts(name: str, make_clip: ClipMaker, tmp_path: Path) -> None:
    source = make_clip(seconds=4, size=(320, 180), fps=25, gop=10)
    path = rendered(tmp_path / name, "-i", str(source), "-an", *FORMS[name])
    manifest, slices = plan_of(path, 1.0)
    every = [pts for part in slices for pts in part]
    expected = sequential(path, manifest)
    for wanted in (every[3::7], every[90:1:-40], [every[-1]]):
        found = dict(stills(manifest, wanted))
        assert sorted(found) == sorted(wanted)
        if manifest.source.video.timing == "stamped":
            assert all(np.array_equal(found[pts], expected[pts]) for pts in wanted)
        else:
            ordered = [expected[pts] for pts in sorted(expected)]
            assert all(np.array_equal(found[pts], ordered[every.index(pts)]) for pts in wanted)


def test_a_still_is_turned_and_stretched_as_players_do(make_clip: ClipMaker, tmp_path: Path) -> None:
    source = make_clip(seconds=1, size=(320, 180), fps=25, gop=10)
    turned = rendered(tmp_path / "t.mp4", "-display_rotation", "90", "-i", str(source), "-an", "-c", "copy")
    wide = rendered(tmp_path / "w.mp4", "-i", str(source), "-an", "-vf", "setsar=2", "-preset", "veryfast")
    plain = dict(stills(plan_of(source, None)[0], [512]))
    manifest, _ = plan_of(turned, None)
    (found,) = dict(stills(manifest, [512])).values()
    assert found.shape == (320, 180, 3)
    assert np.array_equal(found, np.rot90(next(iter(plain.values()))))
    assert plan_of(wide, None)[0].source.video.sample_aspect == Fraction(2)
    (found,) = dict(stills(plan_of(wide, None)[0], [512])).values()
    assert found.shape == (180, 640, 3)


def test_a_frame_that_is_not_there_is_left_out(make_clip: ClipMaker) -> None:
    manifest, slices = plan_of(make_clip(seconds=1, size=(320, 180), fps=25, gop=10), None)
    there = slices[0][4]
    assert list(dict(stills(manifest, [there + 1, there, 10**9]))) == [there]
