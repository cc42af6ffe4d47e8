"""The stages over a real store and real files, with the stub detector: detect, redact, compose."""

import shutil
import subprocess
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.domain.detection import ChunkDetections, FrameDetections, joined, load_chunk
from farm.domain.geometry import Box, intersection_over_union
from farm.domain.options import RedactOptions
from farm.errors import AttemptStopped, SourceError, StorageError, VerificationError
from farm.executables import find_ffmpeg
from farm.media.planes import format_of
from farm.storage.inputs import order_inputs
from tests.integration.workers.conftest import Bench, GreenClip, MakeBench, StubTools, found_in
from tests.masks import mask_of
from tests.memory_store import keys_below
from workers.stages.compose import run as run_compose
from workers.stages.detect import run as run_detect
from workers.stages.orders import Result
from workers.stages.redact import run as run_redact


def no_report(_: int) -> None:
    """Nobody listens."""


def redact(made: Bench, chunk: int) -> Result:
    tracks = made.tracks(chunk, made.detections(made.detect(chunk)))
    return run_redact(made.order("redact", chunk, (tracks,)), made.store, StubTools(), no_report)


def green_pixels(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    bounds = np.array([0, 170, 0]), np.array([90, 255, 90])
    return [int((cv2.inRange(picture, *bounds) > 0).sum()) for picture in pictures]


def test_detect_finds_every_patch_in_every_frame(bench: MakeBench, green_clip: GreenClip) -> None:
    made = bench(green_clip())
    frames = [f for k in range(len(made.manifest.chunks)) for f in made.detections(made.detect(k))]
    assert [f.pts for f in frames] == [pts for part in made.pts for pts in part]
    for k, frame in enumerate(frames):
        expected = [Box(20 + 2 * k, 40, 30, 40)] + [Box(250 - 3 * k, 120, 25, 30)] * (k % 20 < 15)
        assert len(found_in(frame)) == len(expected), k
        for box in expected:
            assert max(intersection_over_union(box, d.box) for d in found_in(frame)) > 0.8


def test_the_masks_are_the_same_however_the_video_is_cut(bench: MakeBench, green_clip: GreenClip) -> None:
    def masks(seconds: float) -> list[NDArray[np.uint8]]:
        made = bench(green_clip(), seconds)
        frames = [f for k in range(len(made.manifest.chunks)) for f in made.detections(made.detect(k))]
        options, pixels = RedactOptions(), format_of("yuv420p")
        return [mask_of([d.box for d in found_in(f)], 320, 192, options, pixels) for f in frames]

    whole = masks(100)
    for seconds in (0.4, 1.2):
        assert all((a == b).all() for a, b in zip(masks(seconds), whole, strict=True))


def test_a_chunk_tells_what_the_next_one_cannot_know_of_its_first_frame(
    bench: MakeBench, green_clip: GreenClip
) -> None:
    """The motion from the frame before it."""

    def read(made: Bench, chunk: int) -> tuple[list[FrameDetections], ChunkDetections]:
        result = made.detect(chunk)
        with made.store.fetch(result.artefact.key) as path:
            return made.detections(result), load_chunk(path.read_text().splitlines()[-1])

    cut, whole = bench(green_clip(), 0.4), bench(green_clip(), 100)
    parts = [read(cut, k) for k in range(len(cut.manifest.chunks))]
    (rows, end) = read(whole, 0)
    assert all(frames[0].motion is None for frames, _ in parts)
    assert all(last.motion is not None for _, last in parts[:-1])
    assert (parts[-1][1].motion, end.motion, end.beyond) == (None, None, ())
    assert list(joined((last, frames) for frames, last in parts)) == rows


def test_from_source_to_verified_output(bench: MakeBench, green_clip: GreenClip) -> None:
    made = bench(green_clip())
    made.options = replace(made.options, redact=RedactOptions(style="solid"))
    reported: list[int] = []
    segments = tuple(redact(made, k).artefact for k in range(len(made.manifest.chunks)))
    order = made.order("compose", 0, segments, "mp4")
    inputs = [segment.model_dump() for segment in segments]
    order = order.model_copy(update={"inputs": (), **order_inputs(made.store, "compose", order.fingerprint, inputs)})
    assert order.listed
    result = run_compose(order, made.store, StubTools(), reported.append)
    assert result.artefact.key.startswith(f"outputs/{order.fingerprint}/output.")
    assert result.artefact.frames == made.manifest.frames
    assert reported == sorted(reported)
    assert reported[-1] == made.manifest.frames
    with made.store.fetch(result.artefact.key) as path:
        assert max(green_pixels(path)) < 10
    assert min(green_pixels(made.source)) > 800
    assert {"detect", "decode", "measure", "scale"} <= set(made.detect(0).spent) or made.detect(0).reused


def test_composing_does_not_begin_without_room_for_the_output(
    bench: MakeBench, green_clip: GreenClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(green_clip())
    segments = tuple(redact(made, k).artefact for k in range(len(made.manifest.chunks)))
    size = sum(segment.size for segment in segments)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * size - 1))
    with pytest.raises(
        StorageError, match=rf"{2 * size - 1} bytes are free, and composing needs {2 * size} \(free some"
    ):
        run_compose(made.order("compose", 0, segments, "mp4"), made.store, StubTools(), no_report)
    assert keys_below(made.store, "outputs") == []


def test_segments_in_another_order_are_refused(bench: MakeBench, green_clip: GreenClip) -> None:
    made = bench(green_clip())
    first, second, *rest = (redact(made, k).artefact for k in range(len(made.manifest.chunks)))
    with pytest.raises(VerificationError, match="inputs are not those of its chunks"):
        run_compose(made.order("compose", 0, (second, first, *rest), "mp4"), made.store, StubTools(), no_report)


def test_what_is_left_out_is_told_each_time(bench: MakeBench, green_clip: GreenClip, tmp_path: Path) -> None:
    source = tmp_path / "attached.mkv"
    note = tmp_path / "a.txt"
    note.write_text("text")
    words = ["-c", "copy", "-attach", str(note), "-metadata:s:t", "mimetype=text/plain", str(source)]
    subprocess.run([str(find_ffmpeg().path), "-v", "error", "-i", str(green_clip(".mkv")), *words], check=True)
    made = bench(source)
    segments = tuple(redact(made, k).artefact for k in range(len(made.manifest.chunks)))
    known = None
    for again in (False, True):
        result = run_compose(made.order("compose", 0, segments, "mp4", known), made.store, StubTools(), no_report)
        known = result.artefact
        assert result.reused == again
        assert len(result.notes) == 1
        assert "stream 1 (attachment" in result.notes[0]


@pytest.mark.parametrize("stage", ["detect", "redact"])
def test_stopping_leaves_no_thread_and_no_file(bench: MakeBench, green_clip: GreenClip, stage: str) -> None:
    made = bench(green_clip(), 100)
    tracks = made.tracks(0, made.detections(made.detect(0)))
    for key in keys_below(made.store, "detections"):
        made.store.delete(key)
    files = sorted(p for p in made.folder.rglob("*") if p.is_file())
    threads = threading.enumerate()

    def stop(frames: int) -> None:
        if frames >= 5:
            raise AttemptStopped

    run, order = (run_detect, made.order("detect"))
    if stage == "redact":
        run, order = run_redact, made.order("redact", 0, (tracks,))
    with pytest.raises(AttemptStopped):
        run(order, made.store, StubTools(), stop)
    assert threading.enumerate() == threads
    assert sorted(p for p in made.folder.rglob("*") if p.is_file()) == files


def test_tracks_that_do_not_fit_the_frames(bench: MakeBench, green_clip: GreenClip) -> None:
    made = bench(green_clip())
    frames = made.detections(made.detect(1))
    for name, wrong in (
        ("no line", frames[:-1]),
        ("more lines", [*frames, frames[-1]]),
        ("no line", made.detections(made.detect(0))),
    ):
        for key in keys_below(made.store, "masks"):
            made.store.delete(key)
        tracks = made.tracks(1, wrong).model_copy(update={"frames": made.manifest.chunks[1].frames})
        with pytest.raises(VerificationError, match=name):
            run_redact(made.order("redact", 1, (tracks,)), made.store, StubTools(), no_report)
    assert not keys_below(made.store, "segments")


def test_a_source_that_changed_since_it_was_planned(bench: MakeBench, green_clip: GreenClip, tmp_path: Path) -> None:
    source = tmp_path / "source.mp4"
    source.write_bytes(green_clip().read_bytes())
    made = bench(source)
    with source.open("ab") as file:
        file.write(b"more")
    with pytest.raises(SourceError, match="changed since"):
        made.detect(0)


def test_memory_does_not_grow_with_the_chunk(bench: MakeBench, green_clip: GreenClip) -> None:
    def peak(frames: int) -> int:
        made = bench(green_clip(frames=frames), 1000)
        tracemalloc.start()
        try:
            redact(made, 0)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    short, long = peak(20), peak(200)
    assert long < 1.3 * short
