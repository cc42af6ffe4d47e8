"""`farm verify` sees a small cover, and nothing where a video was only encoded again."""

from pathlib import Path

import pytest

from farm.media.verifying.comparing import compare
from tests.integration.media.test_verify import FACE, changed
from tests.integration.trips import CLIPS, X264, Rendered, verdicts


@pytest.mark.parametrize(("side", "quality"), [(8, "18"), (12, "18"), (20, "18"), (20, "28")])
def test_a_small_face_is_seen_where_the_rest_is_only_encoded_again(
    render: Rendered, tmp_path: Path, side: int, quality: str
) -> None:
    """Such a cover changes a 16 x 16 block by no more than encoding does elsewhere."""
    x, y, w, h = 402, 230, max(2, side // 5), max(1, side // 8)
    eyes = [f"drawbox=x={x + at}:y={y + side // 4}:w={w}:h={h}:color=black:t=fill" for at in (side // 5, side * 3 // 5)]
    mouth = f"drawbox=x={x + side // 4}:y={y + side * 2 // 3}:w={side // 2}:h={h}:color=brown:t=fill"
    head = f"drawbox=x={x}:y={y}:w={side}:h={side}:color=tan:t=fill"
    face = ",".join((head, *eyes, mouth))
    source = render(f"face{side}.mp4", "-f", "lavfi", "-i", f"testsrc2=s=640x360:d=1,{face}", *X264)
    small = (
        f"split[a][b];[b]crop={side}:{side}:{x}:{y},scale=3:3:flags=area,scale={side}:{side}[c];[a][c]overlay={x}:{y}"
    )
    seen = f"[0:v]{small}:enable='between(n,5,16)'"
    output = changed(source, tmp_path / "out.mp4", "-filter_complex", seen, "-crf", quality)
    assert compare(source, output).changed_frames == 12
    nothing = compare(source, changed(source, tmp_path / "same.mp4", "-crf", quality))
    assert nothing.changed_frames == 0
    assert "no change was found" in verdicts(nothing, "differs")["redaction"]


@pytest.mark.parametrize(("n", "seen"), [(1, 1), (5, 5), (7, 7)])
def test_a_video_shorter_than_a_run_shows_its_cover_in_every_frame(
    render: Rendered, tmp_path: Path, n: int, seen: int
) -> None:
    source = changed(render("cfr.mp4", *CLIPS["cfr.mp4"]), tmp_path / "short.mp4", "-frames:v", str(n), "-an")
    assert compare(source, changed(source, tmp_path / "out.mp4", "-vf", FACE)).changed_frames == seen
