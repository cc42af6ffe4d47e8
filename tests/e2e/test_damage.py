"""Whatever is damaged in the store, what is published is what an undisturbed run publishes, frame by frame."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import ClipMaker
from tests.e2e.conftest import Farm, assert_exact

pytestmark = pytest.mark.e2e
# mpeg4: x264's bytes do not always repeat
WORDS = ("--chunk-seconds", 0.8, "--codec", "mpeg4", "--style", "solid")


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray().astype(np.uint8) for frame in container.decode(video=0)]


def bare(path: Path) -> None:
    """No frame of these tracks has a box any more."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps([row[0], [], *row[2:]]) + "\n" for row in rows))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def swap(path: Path) -> None:
    """Another artefact of the same kind under this one's key."""
    other = next(p for p in sorted(path.parent.glob(f"*{path.suffix}")) if p.read_bytes() != path.read_bytes())
    path.write_bytes(other.read_bytes())


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARMS: list[tuple[str, Callable[[Path], object]]] = [
    ("tracks/*/*.jsonl", bare),
    ("tracks/*/*.jsonl", Path.unlink),
    ("masks/*/*.jsonl", bare),
    ("masks/*/*.jsonl", Path.unlink),
    ("detections/*/*.jsonl", cut),
    ("detections/*/*.jsonl", swap),
    ("segments/*/*.mp4", swap),
    ("segments/*/*.mp4", flip),
    ("segments/*/*.mp4", folder),
    ("plans/*/*.json", empty),
    ("plans/*/pts/*.json", swap),
    ("plans/*/pts/*.json", Path.unlink),
]


def test_what_is_damaged_between_two_jobs_is_made_again(farm: Farm, make_clip: ClipMaker, tmp_path: Path) -> None:
    source = make_clip(seconds=2, size=(320, 180), fps=25, gop=10)
    farm.up()
    farm.run("submit", source, "-o", tmp_path / "first.mp4", *WORDS)
    expected, shown = pictures(tmp_path / "first.mp4"), pictures(source)
    assert all((a != b).any() for a, b in zip(expected, shown, strict=True))
    store = farm.home / "store"
    for number, (pattern, harm) in enumerate(HARMS):
        files = sorted(store.glob(pattern))
        harm(files[number % len(files)])
        output = tmp_path / f"{number}.mp4"
        row = farm.json("submit", source, "-o", output, *WORDS)
        assert (row["status"], row["failures"]) == ("done", 0), (pattern, harm)
        assert_exact(source, output)
        for one, other in zip(pictures(output), expected, strict=True):
            assert (one == other).all(), (pattern, harm)
        events = json.dumps(farm.json("status", row["id"])["events"])
        assert "damaged" in events or pattern.startswith("plans") or harm is Path.unlink, (pattern, harm, events)


def test_a_segment_without_covers_in_the_place_of_another_is_not_published(
    farm: Farm, make_clip: ClipMaker, tmp_path: Path
) -> None:
    """As a person would do it who does not know how artefacts are named."""
    source = make_clip(seconds=2, size=(320, 180), fps=25, gop=10)
    farm.up()
    farm.run("submit", source, "-o", tmp_path / "none.mp4", *WORDS, "--threshold", 0.99)
    wrong = {p.name.split(".")[0]: p for p in (farm.home / "store" / "segments").glob("*/*.mp4")}
    farm.run("submit", source, "-o", tmp_path / "first.mp4", *WORDS)
    expected = pictures(tmp_path / "first.mp4")
    for path in (farm.home / "store" / "segments").glob("*/*.mp4"):
        if path not in wrong.values():
            shutil.copyfile(wrong[path.name.split(".")[0]], path)
    shutil.rmtree(farm.home / "store" / "outputs")
    row = farm.json("submit", source, "-o", tmp_path / "again.mp4", *WORDS)
    assert row["status"] == "done"
    for one, other in zip(pictures(tmp_path / "again.mp4"), expected, strict=True):
        assert (one == other).all()


def test_the_chain_of_a_job_is_proven_from_source_to_output(farm: Farm, make_clip: ClipMaker, tmp_path: Path) -> None:
    source = tmp_path / "source.mp4"
    shutil.copyfile(make_clip(seconds=2, size=(320, 180), fps=25, gop=10), source)
    output = tmp_path / "out.mp4"
    job = farm.json("submit", source, "-o", output, *WORDS)["id"]
    proof = farm.json("verify", "--job", job)
    assert [link["name"] for link in proof["chain"]] == [
        "source", "plan", "detect", "link", "edit", "redact", "compose", "output"
    ]  # fmt: skip
    assert (proof["verified"], proof["changed_frames"]) == (True, 50)
    assert [link["text"] for link in proof["chain"] if link["name"] == "redact"] == [
        "3 artefacts, 50 frames to be covered"
    ]
    for name, path in (
        ("source", source),
        ("plan", next((farm.home / "store").glob("plans/*/pts/*"))),
        ("detect", next((farm.home / "store").glob("detections/*/*"))),
        ("link", next((farm.home / "store").glob("tracks/*/*"))),
        ("edit", next((farm.home / "store").glob("masks/*/*"))),
        ("redact", next((farm.home / "store").glob("segments/*/*"))),
        ("output", output),
    ):
        content = path.read_bytes()
        path.unlink()  # the output may be a hard link to the store's file
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        said = farm.run("verify", "--job", job, code=9)
        assert f"is broken: {name}" in said.stderr
        assert [line.split(":")[0].split()[1] for line in said.stdout.splitlines() if line.startswith("failed")] == [
            name
        ]
        path.unlink()
        path.write_bytes(content)
    shutil.rmtree(farm.home / "store" / "segments")
    assert "redact: 3 artefacts, 50 frames to be covered (3 deleted since)" in farm.run("verify", "--job", job).stdout
    database = sqlite3.connect(farm.home / "farm.db")
    with database:
        database.execute(
            "UPDATE chunks SET artefact = replace(artefact, '\"covered\": ', '\"covered\": 1') WHERE stage = 'redact'"
        )
    database.close()
    assert "was not painted with the masks of its tracks" in farm.run("verify", "--job", job, code=9).stdout
    farm.run("verify", "--job", "nothing", code=2)
    farm.run("verify", "--job", job, source, code=2)
    farm.run("verify", code=2)
