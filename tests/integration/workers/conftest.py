"""Clips with bright green patches on a busy background, and the plan of a source in a store."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from farm.domain.artefacts import artefact_name, plan_key
from farm.domain.detection import Detection, FrameDetections, load_frame
from farm.domain.detectors import DetectOptions
from farm.domain.manifest import Manifest
from farm.domain.options import JobOptions, RedactOptions
from farm.domain.track import FrameTracks, TrackedBox, dump_frame
from farm.executables import find_ffmpeg
from farm.jobs.plans import store_plan
from farm.messages import Artefact, Order
from farm.storage.base import Storage
from farm.storage.local import LocalStorage
from tests.planned import fingerprint_of, order_of, plan_of
from workers.stages.detect import run as run_detect
from workers.stages.orders import Result
from workers.vision.detectors.base import Detector
from workers.vision.detectors.combined import create_detector
from workers.vision.device import Device

GreenClip = Callable[..., Path]
#: Every frame is looked at: what looking leaves out is the linker's to fill.
OPTIONS = JobOptions(detect=DetectOptions(detector="stub", size=320, every=1))


def write_green_clip(path: Path, frames: int = 50, gop: int = 10, size: tuple[int, int] = (320, 192)) -> Path:
    """H.264 with B-frames, 25 frames/s but every seventh frame 10 ms late; two patches move, one comes and goes."""
    background = np.random.default_rng(2).integers(60, 110, (size[1] // 8, size[0] // 8), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "16"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.options = {"x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=3"}
        for k in range(frames):
            picture = np.repeat(np.kron(background, np.ones((8, 8), np.uint8))[:, :, None], 3, axis=2)
            picture[40:80, 20 + 2 * k : 50 + 2 * k] = (0, 255, 0)
            if k % 20 < 15:
                picture[120:150, 250 - 3 * k : 275 - 3 * k] = (0, 255, 0)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = 40 * k + (10 if k % 7 == 6 else 0), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def green_clip(tmp_path_factory: pytest.TempPathFactory) -> GreenClip:
    """``green_clip(suffix=".mp4", frames=…, gop=…)``: a clip, made once. Read only."""
    folder, made = tmp_path_factory.mktemp("green"), dict[str, Path]()

    def make(suffix: str = ".mp4", **options: int) -> Path:
        key = f"{suffix}{sorted(options.items())}"
        if key not in made:
            made[key] = write_green_clip(folder / f"green{len(made)}{suffix}", **options)  # type: ignore[arg-type]
        return made[key]

    return make


class StubTools:
    """Tools of a worker that has the stub detector."""

    threads = 1

    @property
    def ffmpeg(self) -> Path:
        return find_ffmpeg().path

    def detector(self, options: DetectOptions) -> Detector:
        def weights(name: str) -> Path:
            raise AssertionError(name)

        return create_detector(options, Device("cpu", 0), threads=1, weights=weights)

    def free_detectors(self) -> None:
        pass


def found_in(frame: FrameDetections) -> tuple[Detection, ...]:
    """What a detector found in a frame, which it looked at unless there is nothing to see."""
    assert (frame.detections is None) == frame.black
    return frame.detections or ()


@dataclass
class Bench:
    """A planned source in a store, without a coordinator."""

    source: Path
    folder: Path  # the store's own, unless another store was given
    store: Storage
    manifest: Manifest
    pts: list[list[int]]
    options: JobOptions = OPTIONS

    def order(
        self,
        stage: str,
        chunk: int = 0,
        inputs: tuple[Artefact, ...] = (),
        container: str = "",
        known: Artefact | None = None,
    ) -> Order:
        return order_of(self.manifest, self.options, stage, chunk, inputs, container, self.source, known)

    def detect(self, chunk: int, known: Artefact | None = None) -> Result:
        return run_detect(self.order("detect", chunk, known=known), self.store, StubTools(), lambda _: None)

    def detections(self, result: Result) -> list[FrameDetections]:
        with self.store.fetch(result.artefact.key) as path:
            return [load_frame(line) for line in path.read_text().splitlines()[:-1]]

    def tracks(self, chunk: int, frames: list[FrameDetections]) -> Artefact:
        """Each detection a track of its own frame: what linking has to leave out is another test's."""
        rows = [
            FrameTracks(f.pts, tuple(TrackedBox(i, d.box) for i, d in enumerate(found_in(f))), f.black, f.sketch)
            for f in frames
        ]
        return self.linked(rows, chunk)

    def linked(self, rows: list[FrameTracks], chunk: int = 0) -> Artefact:
        """Masks in the store, as the coordinator writes them."""
        of = fingerprint_of("edit", self.manifest, self.options)
        with self.store.put(artefact_name("edit", of, self.manifest.chunks[chunk].name)) as draft:
            draft.path.write_text("".join(dump_frame(row) + "\n" for row in rows))
        covered = sum(row.black or bool(row.boxes) for row in rows)
        return draft.artefact(len(rows), covered=covered)


MakeBench = Callable[..., Bench]


@pytest.fixture
def bench(tmp_path: Path) -> MakeBench:
    """``bench(source, chunk_seconds, redact, store)``: the source planned in a new store, in a folder unless given."""

    def make(
        source: Path,
        chunk_seconds: float | None = 0.8,
        redact: RedactOptions = OPTIONS.redact,
        store: Storage | None = None,
    ) -> Bench:
        folder = tmp_path / f"store{len(list(tmp_path.iterdir()))}"
        return planned(source, store or LocalStorage(folder), folder, chunk_seconds, redact)

    return make


def planned(
    source: Path,
    store: Storage,
    folder: Path,
    chunk_seconds: float | None,
    redact: RedactOptions = OPTIONS.redact,
) -> Bench:
    """The source planned in a store."""
    manifest, slices = plan_of(source, chunk_seconds, redact=redact)
    store_plan(store, plan_key(manifest), manifest, slices)
    return Bench(source, folder, store, manifest, [list(part) for part in slices], replace(OPTIONS, redact=redact))
