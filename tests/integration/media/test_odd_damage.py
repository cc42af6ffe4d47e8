"""Damage in what ffmpeg's encoders do not write, which the fuzz suite lacks: refused in one line, or decoded."""

import random
from pathlib import Path

import pytest

from farm.domain.options import SourceOptions
from farm.errors import FarmError
from farm.media.reading.chunk import decode_chunk
from tests.fields import bare, in_fields, muxed
from tests.integration.trips import Rendered
from tests.matrix.mutations import KINDS
from tests.planned import plan_of

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=1")
FRAMES = 12


def _outcome(path: Path, *, blackout: bool) -> str:
    """How a file ends: ``refused``, or how many frames there are. Whatever else is raised fails the test."""
    try:
        manifest, pts = plan_of(path, 0.3, SourceOptions(on_undetectable="blackout") if blackout else None)
        for chunk in manifest.chunks:
            found = list(decode_chunk(path, manifest.source.video, chunk, pts[chunk.index], blackout=blackout))
            assert [one.frame.pts for one in found] == list(pts[chunk.index])
    except FarmError as error:
        return "refused" if "\n" not in str(error) else str(error)
    return f"{manifest.frames} frames"


@pytest.fixture
def odd(render: Rendered, tmp_path: Path) -> list[Path]:
    """The files to damage."""
    fields, mixed = in_fields(FRAMES), in_fields(FRAMES, mixed=True)
    made = [muxed(tmp_path / name, fields) for name in ("fields.ts", "fields.mp4", "fields.mkv")]
    made += [muxed(tmp_path / "mixed.ts", mixed, adaptive=True, together=True), bare(tmp_path / "bare.h264", fields)]
    raw = ("-c:v", "rawvideo", "-pix_fmt")
    made += [render(f"{kind}.avi", *PICTURE, *raw, kind) for kind in ("uyvy422", "rgb555le", "pal8")]
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_refused_or_decoded(odd: list[Path], tmp_path: Path, kind: str) -> None:
    outcomes = set()
    for source in odd:
        assert _outcome(source, blackout=False) in (f"{FRAMES} frames", "10 frames")
        for seed in range(3):
            damaged = tmp_path / f"damaged{source.suffix}"
            damaged.write_bytes(KINDS[kind](bytearray(source.read_bytes()), random.Random(f"{kind}/{seed}")))
            outcomes |= {_outcome(damaged, blackout=blackout) for blackout in (False, True)}
    assert all(outcome == "refused" or outcome.endswith(" frames") for outcome in outcomes)
