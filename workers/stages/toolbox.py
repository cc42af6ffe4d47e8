"""What a worker's child process keeps between orders: its device, number of threads and detectors."""

import gc
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np

from farm.domain.detectors import DetectOptions
from farm.domain.faces import Reference
from farm.domain.quality import resolved
from farm.domain.recognisers import PeopleOptions
from farm.errors import DeviceError
from farm.executables import find_ffmpeg
from farm.media.encoding.encoders import quiet_encoders
from farm.models.brought import check_recogniser
from farm.models.store import ModelStore
from farm.settings import Settings
from workers.device import list_gpus, usable_cpus
from workers.vision.detectors.base import Detector
from workers.vision.detectors.combined import create_detector
from workers.vision.device import Device, runtimes
from workers.vision.recognisers.base import Site
from workers.vision.recognisers.photos import read_photo
from workers.vision.recognisers.reading import FaceReader
from workers.vision.resampling import use_one_thread

_MOST_THREADS = 8


class Toolbox:
    """:class:`workers.stages.orders.Tools` of one process.

    A CPU worker uses one thread per library, since there is one worker per core. A GPU worker shares the host's cores
    with the workers of the other GPUs.
    """

    def __init__(self, settings: Settings, device: str) -> None:
        """``device``: a device's name, as in ``cuda0``. Raises SettingsError, DeviceError."""
        self.device = Device.named(device)
        self.threads = 1 if self.device.kind == "cpu" else _share_of_cores()
        self.runtimes = runtimes(settings.cpu_runtime, self.device)
        self._models = ModelStore(settings)
        self._named_ffmpeg = settings.ffmpeg
        self._detectors = lru_cache(maxsize=2)(self._load)
        self._loading = Lock()  # what is being prepared is waited for, not loaded twice
        self.reader = lru_cache(maxsize=1)(self._reader)
        use_one_thread()
        quiet_encoders()

    @property
    def ffmpeg(self) -> Path:
        """The program that composes. Raises SettingsError, OutputError."""
        return find_ffmpeg(self._named_ffmpeg).path

    def detector(self, options: DetectOptions) -> Detector:
        """See :class:`workers.stages.orders.Tools`."""
        with self._loading:
            return self._detectors(options)

    def prepare(self, options: DetectOptions) -> None:
        """Load the detector of a job that is being planned, unless weights are still to be fetched.

        Raises ModelError, DeviceError.
        """
        weights = [one.network.weights for one in resolved(options).networks]
        if all(each is None or self._models.locate(each.name) for each in weights):
            self.detector(options if options.runtime else replace(options, runtime=self.runtimes[0]))

    def _reader(self, options: PeopleOptions) -> FaceReader:
        """What reads faces by the recogniser of these options. Raises ModelError, DeviceError."""
        if (named := options.named) is not None:
            check_recogniser(named, options.files)
        return FaceReader(options, Site(self.device, self.threads, self._models.ensure, self._models.folders))

    def read_photos(self, options: PeopleOptions, photos: Sequence[Path]) -> list[Reference]:
        """The face on each of some photos. Raises SettingsError for a photo that cannot be used, ModelError,
        DeviceError.
        """
        reader = self.reader(options)
        detector = self.detector(DetectOptions(detector="centerface", runtime=self.runtimes[0])) if photos else None
        return [read_photo(photo, detector, reader) for photo in photos if detector]

    def free_detectors(self) -> None:
        """Let a CPU's detectors go: they take as much memory as encoding does. A GPU keeps them: loading takes long."""
        if self.device.kind == "cpu" and self._detectors.cache_info().currsize:
            self._detectors.cache_clear()
            gc.collect()  # a detector refers to itself

    def try_detector(self, options: DetectOptions) -> None:
        """Look at a grey picture. Raises ModelError, DeviceError for a detector that cannot be used."""
        detector = self.detector(options)
        width, height = detector.picture_size(options.size or 64, options.size or 64)
        detector.detect([np.full((height, width, 3), 128, np.uint8)], (width, height))

    def _load(self, options: DetectOptions) -> Detector:
        """The detector for these options, with exactly their runtime. Raises ModelError or DeviceError.

        Jobs of versions before runtimes were fixed have none: each worker used its own, and still does.
        """
        if options.runtime is None:
            options = replace(options, runtime=self.runtimes[0])
        if options.runtime not in self.runtimes:
            offered = ", ".join(self.runtimes)
            raise DeviceError(f"the job needs the runtime {options.runtime}; {self.device.name} has {offered}")
        return create_detector(options, self.device, threads=self.threads, weights=self._models.ensure)


def _share_of_cores() -> int:
    return min(_MOST_THREADS, max(1, usable_cpus() // max(1, list_gpus())))
