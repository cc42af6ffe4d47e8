"""Run one source through all stages in this process: with real files and a real store, without queue and database."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from farm.domain.artefacts import plan_key
from farm.domain.detection import Detection
from farm.domain.detectors import DetectOptions
from farm.domain.geometry import Box
from farm.domain.manifest import Manifest
from farm.domain.options import JobOptions, RedactOptions
from farm.domain.track import load_frame
from farm.executables import find_ffmpeg
from farm.jobs.placing import Prepared, Request, prepare
from farm.jobs.plans import store_plan
from farm.jobs.repairing import Repairs
from farm.media.encoding.encoders import ENCODERS
from farm.messages import Artefact, Order
from farm.storage.local import LocalStorage
from tests.matrix.pixels import Rectangle
from tests.planned import masked, order_of
from workers.stages.compose import run as run_compose
from workers.stages.detect import run as run_detect
from workers.stages.orders import Result
from workers.stages.redact import run as run_redact
from workers.vision.detectors.base import Detector
from workers.vision.detectors.combined import create_detector
from workers.vision.device import Device, runtimes

CHUNK_SECONDS = 0.6
#: One solid colour per face, so that the pixels show whether a region is covered.
SOLID = JobOptions(
    detect=DetectOptions(detector="stub", size=320), redact=RedactOptions(style="solid", preset="ultrafast", crf=14)
)


class FixedDetector:
    """Reports one face per picture, left of the centre of the upright picture, whatever it shows."""

    batch_size = 4

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        """See :meth:`workers.vision.detectors.base.Detector.picture_size`."""
        return max(1, width // 4), max(1, height // 4)

    def detect(self, pictures: Sequence[NDArray[np.uint8]], source: tuple[int, int]) -> list[list[Detection]]:
        """See :meth:`workers.vision.detectors.base.Detector.detect`."""
        width, height = source
        return [[Detection(Box(0.2 * width, 0.3 * height, 0.2 * width, 0.3 * height), 0.9)] for _ in pictures]


@dataclass
class Tools:
    """A worker's tools. ``weights``: the folder of the model's weights; None for the stub and the fixed detector."""

    fixed: bool = False
    weights: Path | None = None
    threads: int = 1

    @property
    def ffmpeg(self) -> Path:
        """See :class:`workers.stages.orders.Tools`."""
        return find_ffmpeg().path

    def detector(self, options: DetectOptions) -> Detector:
        """See :class:`workers.stages.orders.Tools`."""
        if self.fixed:
            return FixedDetector()
        folder, device = self.weights or Path("none"), Device("cpu", 0)
        options = replace(options, runtime=runtimes("auto", device)[0])
        return create_detector(options, device, threads=2, weights=lambda name: next(folder.glob(f"{name}*")))

    def free_detectors(self) -> None:
        """See :class:`workers.stages.orders.Tools`."""


def tools_for(clip: str) -> Tools:
    """Use the fixed detector for clips without green or whose displayed colours differ; otherwise the stub."""
    return Tools(fixed="gray" in clip or "hdr" in clip)


@dataclass
class Journey:
    """An output and the facts of how it was made."""

    source: Path
    output: Path
    container: str
    manifest: Manifest
    segments: list[Path] = field(default_factory=list)
    store: LocalStorage | None = None
    rectangles: dict[Fraction, list[Rectangle]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def travel(
    source: Path,
    folder: Path,
    tools: Tools,
    options: JobOptions = SOLID,
    chunk_seconds: float | None = CHUNK_SECONDS,
) -> Journey:
    """Plan, detect, link, redact and compose. Raises whatever the farm raises."""
    repairs = Repairs(LocalStorage(folder / "store"), folder / "store")
    request = Request(source, folder, overwrite=True, options=options, chunk_seconds=chunk_seconds, repairs=repairs)
    prepared = prepare(request, frozenset(ENCODERS))
    store = LocalStorage(folder / "store")
    made = _made(prepared, source, store, tools)
    return Journey(
        source,
        store.root / made.composed.artefact.key,
        prepared.container,
        made.manifest,
        [store.root / r.key for r in made.redacted],
        store,
        _rectangles(store, made.manifest, made.masks),
        (*prepared.notes, *made.manifest.notes, *made.composed.notes),
    )


class _Made(NamedTuple):
    manifest: Manifest
    masks: Sequence[Artefact]
    redacted: Sequence[Artefact]
    composed: Result


def _made(prepared: Prepared, source: Path, store: LocalStorage, tools: Tools) -> _Made:
    """All stages of a job; before the last one, those of its companions."""
    manifest, slices = prepared.plan(workers=1)
    options = prepared.request.options
    store_plan(store, plan_key(manifest), manifest, slices)

    def order(stage: str, chunk: int, *inputs: Artefact) -> Order:
        return order_of(manifest, options, stage, chunk, inputs, prepared.container, source)

    numbers = range(len(manifest.chunks))
    found = [run_detect(order("detect", n), store, tools, _nobody).artefact for n in numbers]
    masks = masked(store, manifest, options, found, prepared.container)
    redacted = [run_redact(order("redact", n, masks[n]), store, tools, _nobody).artefact for n in numbers]
    streams: dict[str, JsonValue] = {}
    for companion in prepared.companions:
        other = _made(prepared.of(companion), source, store, tools)
        row = {"plan": plan_key(other.manifest), "output": other.composed.artefact.model_dump(mode="json")}
        streams[str(other.manifest.source.video.index)] = cast("JsonValue", row)
    last = order("compose", 0, *redacted)
    last = last.model_copy(update={"request": {"streams": streams}}) if streams else last
    return _Made(manifest, masks, redacted, run_compose(last, store, tools, _nobody))


def _nobody(_: int) -> None:
    pass


def _rectangles(store: LocalStorage, manifest: Manifest, tracks: Sequence[Artefact]) -> dict[Fraction, list[Rectangle]]:
    """Return the rectangles that must be covered, by time in the output."""
    found: dict[Fraction, list[Rectangle]] = {}
    for artefact in tracks:
        with store.fetch(artefact.key) as path:
            for line in path.read_text().splitlines():
                row = load_frame(line)
                boxes = [(b.box.x, b.box.y, b.box.w, b.box.h) for b in row.boxes]
                found[(row.pts - manifest.shift) * manifest.source.video.time_base] = boxes
    return found
