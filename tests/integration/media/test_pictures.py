"""Frames as pictures: every one, named by index and pts, upright, with the values that the video has."""

import csv
import io
import zipfile
from array import array
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from farm.domain.manifest import Manifest
from farm.domain.options import RedactOptions
from farm.domain.orientation import Matrix
from farm.errors import VerificationError
from farm.media.composing.pictures import LIST, check_pictures, picture_name, write_pictures
from farm.media.encoding.encode import SegmentWriter
from tests.integration.trips import VFR, decoded, rendered
from tests.planned import plan_of

CLIP = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=1", "-vf", f"settb=1/90000,{VFR}",
        "-fps_mode", "passthrough", "-enc_time_base", "1/90000", "-video_track_timescale", "90000"]  # fmt: skip


def segments(source: Path, folder: Path) -> tuple[Manifest, list["array[int]"], list[Path]]:
    manifest, pts = plan_of(source, 0.3, redact=RedactOptions(codec="ffv1"))
    paths = []
    for chunk in manifest.chunks:
        path = folder / f"{chunk.name}.seg"
        with SegmentWriter(path, manifest.encoder, 1) as writer:
            for frame in decoded(manifest, source, chunk):
                writer.write(frame)
        paths.append(path)
    return manifest, list(pts), paths


@pytest.mark.parametrize(("kind", "depth"), [("png", 8), ("png", 10), ("jpeg", 8)])
def test_every_frame_becomes_a_picture(tmp_path: Path, kind: str, depth: int) -> None:
    pixels = "yuv444p" if depth == 8 else "yuv444p10le"
    source = rendered(tmp_path / "clip.mp4", *CLIP, "-c:v", "libx264", "-g", "3", "-qp", "0", "-pix_fmt", pixels)
    manifest, pts, paths = segments(source, tmp_path)
    out = tmp_path / "out.zip"
    assert write_pictures(manifest, lambda c: pts[c.index], paths, kind, out) == manifest.frames == 10
    check_pictures(out, 10)
    every = [p for part in pts for p in part]
    with zipfile.ZipFile(out) as archive, av.open(str(source)) as video:
        rows = list(csv.DictReader(io.StringIO(archive.read(LIST).decode())))
        assert [int(row["pts"]) for row in rows] == every
        assert [row["name"] for row in rows] == [picture_name(i, p, kind) for i, p in enumerate(every)]
        for row, frame in zip(rows, video.decode(video=0), strict=True):
            with av.open(archive.open(row["name"]), "r") as picture:
                shown = next(picture.decode(video=0))
            form = "rgb24" if depth == 8 else "rgb48le"
            assert (depth == 8) == (shown.format.name in ("rgb24", "yuvj444p"))
            want = frame.to_ndarray(format=form, src_colorspace=5, dst_color_range=2).astype(int)
            got = shown.to_ndarray(format=form).astype(int)
            limit = (2 if kind == "png" else 40) << (0 if depth == 8 else 8)
            assert np.abs(want - got).max() <= limit


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        ((0, 1, 0, -1, 0, 0, 0, 0, 1), (0, -1)),  # a quarter turn clockwise: the first pixel goes to the top right
        ((-1, 0, 0, 0, 1, 0, 0, 0, 1), (0, -1)),
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), (-1, -1)),
    ],
)
def test_pictures_are_upright(tmp_path: Path, matrix: Matrix, corner: tuple[int, int]) -> None:
    white = "color=black:size=64x48:rate=5:duration=0.2,drawbox=w=16:h=16:color=white:t=fill"
    source = rendered(tmp_path / "clip.mp4", "-f", "lavfi", "-i", white, "-c:v", "libx264")
    manifest, pts, paths = segments(source, tmp_path)
    turned = replace(manifest, source=replace(manifest.source, video=replace(manifest.source.video, matrix=matrix)))
    out = tmp_path / "out.zip"
    write_pictures(turned, lambda c: pts[c.index], paths, "png", out)
    with zipfile.ZipFile(out) as archive, av.open(archive.open(picture_name(0, 0, "png")), "r") as picture:
        rgb = next(picture.decode(video=0)).to_ndarray(format="rgb24")
    assert rgb.shape[:2] == ((64, 48) if matrix[0] == 0 else (48, 64))
    bright = {(y, x) for y in (0, -1) for x in (0, -1) if rgb[y, x].min() > 200}
    assert bright == {corner}


def test_what_is_missing_or_damaged_is_noticed(tmp_path: Path) -> None:
    source = rendered(tmp_path / "clip.mp4", *CLIP, "-c:v", "libx264", "-g", "3")
    manifest, pts, paths = segments(source, tmp_path)
    out = tmp_path / "out.zip"
    write_pictures(manifest, lambda c: pts[c.index], paths, "png", out)
    with pytest.raises(VerificationError, match="10 pictures, 11"):
        check_pictures(out, 11)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("000010_pts9.png", b"not a picture")
    with pytest.raises(VerificationError, match=r"000010_pts9\.png cannot be decoded"):
        check_pictures(out, 11)
    with pytest.raises(VerificationError, match="planned"):
        write_pictures(manifest, lambda c: pts[0], paths, "png", out)
