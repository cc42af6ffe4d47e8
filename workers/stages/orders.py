"""What all stages share: reading an order's plan, and making its artefact once."""

import json
from array import array
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from farm.domain.artefacts import pts_key, receipt_key
from farm.domain.detectors import DetectOptions
from farm.domain.manifest import Chunk, Manifest, load_manifest
from farm.domain.options import JobOptions, load_options
from farm.errors import VerificationError
from farm.media.planes import format_of
from farm.media.reading.chunk import Decoded, check_source, decode_chunk
from farm.messages import Artefact, Order
from farm.storage.base import Storage
from workers.stages.prefetch import AHEAD, prefetch
from workers.stages.spent import Spent
from workers.vision.detectors.base import Detector

#: Called with the number of frames done so far; raises AttemptStopped when the attempt should end.
Report = Callable[[int], None]


class Tools(Protocol):
    """What a worker's child process keeps between orders."""

    @property
    def threads(self) -> int:
        """The number of threads that the decoder and the encoder may use each."""
        ...

    @property
    def ffmpeg(self) -> Path:
        """The program that composes. Raises SettingsError, OutputError: see :mod:`farm.executables`."""
        ...

    def detector(self, options: DetectOptions) -> Detector:
        """The detector for these options, loaded at the first call. Raises ModelError, DeviceError."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """An order's artefact. ``reused``: it was in the store already. ``spent``: CPU seconds by part.

    ``notes``: lines for the person who submitted the job.
    """

    artefact: Artefact
    reused: bool
    spent: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """An order with what it refers to. The source is the planned one: that was checked when the plan was read."""

    order: Order
    manifest: Manifest
    options: JobOptions
    source: Path
    store: Storage

    @property
    def chunk(self) -> Chunk:
        """The order's chunk."""
        return self.manifest.chunks[self.order.chunk]

    def pts(self, chunk: Chunk) -> "array[int]":
        """The pts of a chunk's frames, ascending. Raises StorageError or VerificationError."""
        key = pts_key(self.order.plan, chunk)
        with self.store.fetch(key) as path:
            pts = array("q", json.loads(path.read_text()))
        if len(pts) != chunk.frames:
            raise VerificationError(f"{key} lists {len(pts)} frames, the plan {chunk.frames}")
        return pts

    def decoded(self, pts: Sequence[int], threads: int, spent: Spent) -> Generator[Decoded, None, None]:
        """The frames ``pts`` of the order's chunk, decoded in a thread of their own.

        Raises SourceError, at once for a pixel format that cannot be painted on.
        """
        format_of(self.manifest.source.video.pix_fmt)
        frames = decode_chunk(
            self.source,
            self.manifest.source.video,
            self.chunk,
            pts,
            threads=threads,
            picked=self.manifest.picked,
            blackout=self.options.source.on_undetectable == "blackout",
        )
        return prefetch(spent.each("decode", frames), AHEAD, "decode")

    def check_source(self) -> None:
        """Raise SourceError unless the source is unchanged since it was planned."""
        check_source(self.source, self.manifest.source)


def read_plan(order: Order, store: Storage) -> Plan:
    """The plan of an order. Raises StorageError, SourceError, SettingsError."""
    with store.fetch(order.plan) as path:
        manifest = load_manifest(path.read_text())
    plan = Plan(order, manifest, load_options(order.options), Path(order.source), store)
    plan.check_source()
    return plan


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: its number of frames and, for a segment, its PSNR (see :class:`farm.messages.Artefact`)."""

    frames: int
    psnr: float | None = None


def make_once(store: Storage, key: str, frames: int, spent: Spent, write: Callable[[Path], int | Written]) -> Result:
    """The artefact ``key``: the one in the store if it is whole, else what ``write`` writes to the path it is given.

    ``write`` returns the number of frames written, or a :class:`Written`. Only if that number is ``frames`` does the
    artefact become visible, else VerificationError is raised. Its receipt, an Artefact as JSON, is stored beside it.
    An artefact that does not match its receipt is deleted and made again. One without a receipt is made again but not
    deleted: another worker may be about to write the receipt. The store keeps the first content, which is what both
    workers report.
    """
    ready = _whole(store, key, frames)
    if ready is not None:
        return Result(ready, reused=True, spent=spent.seconds())
    with store.put(key) as path:
        written = write(path)
        if isinstance(written, int):
            written = Written(written)
        if written.frames != frames:
            raise VerificationError(f"{key}: {written.frames} frames were written, {frames} planned")
    artefact = store.describe(key, frames).model_copy(update={"psnr": written.psnr})
    with store.put(receipt_key(key)) as path:
        path.write_text(artefact.model_dump_json())
    return Result(artefact, reused=False, spent=spent.seconds())


def check_input(store: Storage, artefact: Artefact) -> None:
    """Raise VerificationError unless the store holds exactly this artefact, StorageError if it is absent."""
    if not artefact.is_whole(store.describe(artefact.key, artefact.frames)):
        raise VerificationError(f"{artefact.key} in the store is not what was made", hint="retry the job")


def _whole(store: Storage, key: str, frames: int) -> Artefact | None:
    """The artefact if key and receipt agree, else None. Deletes both if there is a receipt that does not match."""
    if not store.exists(receipt_key(key)):
        return None
    said: Artefact | None = None
    with store.fetch(receipt_key(key)) as path, suppress(ValidationError):
        said = Artefact.model_validate_json(path.read_bytes())
    if said is not None and said.frames == frames and store.exists(key) and said.is_whole(store.describe(key, frames)):
        return said
    store.delete(receipt_key(key))
    store.delete(key)
    return None
