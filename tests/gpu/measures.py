"""What ``tests.gpu.bench`` measures. Needs numpy, OpenCV, onnx and a runtime; of the farm, what needs no more.

Times are wall times of this process alone on the machine. A picture is a frame scaled as a job scales it.
"""

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from farm.domain.detection import Detection
from farm.domain.detectors import DetectOptions
from farm.domain.geometry import intersection_over_union
from farm.domain.runtimes import precision_of
from farm.errors import FarmError, OutOfMemory
from workers.vision.detectors.base import Detector, Picture
from workers.vision.detectors.centerface import _OUTPUTS as CENTERFACE_OUTPUTS
from workers.vision.detectors.combined import create_detector
from workers.vision.detectors.graph import RGB, with_fixed_shape
from workers.vision.detectors.session import open_session
from workers.vision.device import Device

BATCHES = (1, 2, 4, 8, 16, 32)
FULL = "memory full"
#: What a CPU may use, as a worker of one core does.
_THREADS = 1
#: Boxes of at least this score must have a partner; weaker ones come and go with the last digits.
SURE = 0.5
#: Least IoU and largest difference of scores of a box and its partner, by precision.
TOLERANCES = {"f32": (0.95, 0.01), "tf32": (0.9, 0.02), "f16": (0.9, 0.05)}


@dataclass
class Card:
    """Asks the driver, while it is entered, how busy a GPU is (per cent) and how much memory is used (MiB).

    ``device``: of a CPU nothing is asked.
    """

    device: Device
    busy: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        asked = ["nvidia-smi", f"--id={self.device.index}", "--query-gpu=utilization.gpu,memory.used"]
        asked.append("--format=csv,noheader,nounits")
        while self.device.kind == "cuda" and not self._over.wait(0.25):
            try:
                told = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=9)
                busy, memory = told.stdout.strip().split(",")
                self.busy.append(float(busy))
                self.memory.append(float(memory))
            except (OSError, subprocess.TimeoutExpired, ValueError):
                continue

    def row(self) -> list[str]:
        """The mean of how busy it was, and the most memory that was used."""
        return [f"{np.mean(self.busy):.0f}" if self.busy else "–", f"{max(self.memory):.0f}" if self.memory else "–"]


def pictures_of(video: Path, detector: Detector, count: int) -> tuple[list[Picture], tuple[int, int]]:
    """``count`` frames of a video, evenly spread, as the detector takes them, and the size of a frame."""
    reader = cv2.VideoCapture(str(video))
    size = int(reader.get(cv2.CAP_PROP_FRAME_WIDTH)), int(reader.get(cv2.CAP_PROP_FRAME_HEIGHT))
    step = max(1, int(reader.get(cv2.CAP_PROP_FRAME_COUNT)) // count)
    found: list[Picture] = []
    number = 0
    while len(found) < count:
        there, frame = reader.read()
        if not there:
            break
        if number % step == 0:
            found.append(
                np.asarray(cv2.resize(frame, detector.picture_size(*size), interpolation=cv2.INTER_AREA), np.uint8)
            )
        number += 1
    reader.release()
    if not found:
        raise FarmError(f"{video}: OpenCV reads no frame of it")
    return found, size


def detector_of(runtime: str, device: Device, weights: Path) -> Detector:
    """The detector of the preset that is the default. Raises FarmError."""
    options = DetectOptions(runtime=runtime)
    return create_detector(options, device, threads=_THREADS, weights=lambda _: weights)


@dataclass(frozen=True, slots=True)
class Parity:
    """How boxes differ from those that are expected. ``lonely``: sure boxes of either side without a partner."""

    boxes: int
    lonely: int
    least_overlap: float
    largest_difference: float

    def holds(self, runtime: str) -> bool:
        """Whether they are the same within what the precision allows."""
        overlap, difference = TOLERANCES.get(precision_of(runtime), TOLERANCES["f16"])
        return not self.lonely and self.least_overlap >= overlap and self.largest_difference <= difference


def parity(found: Sequence[Sequence[Detection]], expected: Sequence[Sequence[Detection]]) -> Parity:
    """Compare the boxes of several pictures: each sure one with the one that it overlaps most."""
    overlaps, differences, lonely = [1.0], [0.0], 0
    for mine, theirs in zip(found, expected, strict=True):
        for these, others in ((mine, theirs), (theirs, mine)):
            for one in (box for box in these if box.score >= SURE):
                best = max(others, key=partial(_overlap, one), default=None)
                if best is None or _overlap(one, best) < 0.5:
                    lonely += 1
                else:
                    overlaps.append(_overlap(one, best))
                    differences.append(abs(one.score - best.score))
    return Parity(sum(map(len, expected)), lonely, min(overlaps), max(differences))


def _overlap(one: Detection, other: Detection) -> float:
    return intersection_over_union(one.box, other.box)


def detected(
    detector: Detector, pictures: Sequence[Picture], size: tuple[int, int]
) -> tuple[list[list[Detection]], float]:
    """The boxes of some pictures, and pictures a second, once the models are loaded."""
    detector.detect(pictures[: detector.batch_size], size)
    begun = time.perf_counter()
    found = detector.detect(pictures, size)
    return found, len(pictures) / (time.perf_counter() - begun)


def batch_row(runtime: str, device: Device, weights: Path, picture: Picture, batch: int, seconds: float) -> list[str]:
    """Pictures a second of CenterFace alone with batches of one size, how busy the card was, and its memory."""
    height, width = picture.shape[:2]
    model = with_fixed_shape(weights.read_bytes(), CENTERFACE_OUTPUTS, RGB, batch, width, height)
    given = np.stack([picture] * batch)
    try:
        session = open_session(model, device, _THREADS, runtime)
        session.run(given)
        with Card(device) as card:
            rate, each = timed(lambda: session.run(given), seconds)
    except OutOfMemory:
        return [runtime, str(batch), FULL, "–", "–", "–"]
    return [runtime, str(batch), f"{rate * batch:.1f}", f"{1000 * each:.1f}", *card.row()]


def timed(work: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """How often a second ``work`` is done in ``seconds``, at least twice, and the seconds of the fastest time."""
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < 2 or time.perf_counter() - begun < seconds:
        before = time.perf_counter()
        work()
        times.append(time.perf_counter() - before)
    return len(times) / (time.perf_counter() - begun), min(times)


def decoded(video: Path, frames: int, *, on_card: bool) -> tuple[float, list[bytes], int]:
    """Frames a second that PyAV decodes, the planes of the first of them, and how many are flagged as damaged.

    ``on_card``: by NVDEC, and copied to the host; never by the CPU instead. Raises what PyAV raises.
    """
    import av  # noqa: PLC0415 - may be missing
    from av.codec.hwaccel import HWAccel  # noqa: PLC0415 - as av

    by = HWAccel("cuda", allow_software_fallback=False) if on_card else None
    first: list[bytes] = []
    done = damaged = 0
    with av.open(str(video), hwaccel=by) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE" if on_card else "AUTO"
        begun = time.perf_counter()
        for frame in container.decode(stream):
            done, damaged = done + 1, damaged + frame.is_corrupt
            if len(first) < 30:
                first.append(frame.to_ndarray(format="yuv420p").tobytes())
            if done >= frames:
                break
        return done / (time.perf_counter() - begun), first, damaged
