"""What all stages share: reading an order's plan, and making its artefact once."""

import json
from array import array
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from farm.digests import file_digest
from farm.domain.artefacts import (
    artefact_name,
    fingerprint_facts,
    is_of_chunk,
    key_of,
    pts_key,
    stage_fingerprint,
)
from farm.domain.containers import output_suffix
from farm.domain.detectors import DetectOptions
from farm.domain.manifest import Chunk, Manifest, load_manifest
from farm.domain.options import JobOptions, load_options
from farm.domain.stages import work_named
from farm.errors import SourceError, VerificationError
from farm.media.planes import format_of
from farm.media.reading.chunk import Decoded, Following, check_source, decode_chunk
from farm.messages import Artefact, Order
from farm.storage.base import Storage, is_whole, opened
from farm.storage.inputs import with_inputs
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

    def free_detectors(self) -> None:
        """Give back the memory of the detectors, where it counts: the next one is loaded anew."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """An order's artefact. ``reused``: it was in the store already. ``spent``: CPU seconds by part.

    ``notes``: lines for the person who submitted the job. ``damaged``: keys that were set aside.
    """

    artefact: Artefact
    reused: bool
    spent: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """An order with what it refers to. The source is the planned one: that was checked when the plan was read."""

    order: Order
    manifest: Manifest
    options: JobOptions
    source: Path
    store: Storage

    @property
    def detect(self) -> DetectOptions:
        """How the order's chunk is looked at: as the job's options say, unless the order says otherwise."""
        said = self.order.request.get("detect")
        return cast("DetectOptions", DetectOptions.load(said)) if isinstance(said, dict) else self.options.detect

    @property
    def chunk(self) -> Chunk:
        """The order's chunk."""
        return self.manifest.chunks[self.order.chunk]

    def pts(self, chunk: Chunk) -> "array[int]":
        """The pts of a chunk's frames, ascending. Raises StorageError."""
        with opened(self.store, pts_key(self.order.plan, chunk)) as path:
            return array("q", json.loads(path.read_text()))

    def following(self, count: int) -> Following:
        """The next ``count`` planned frames after the order's chunk; fewer at the video's end. Raises StorageError."""
        found: list[tuple[Chunk, array[int]]] = []
        for chunk in self.manifest.chunks[self.chunk.index + 1 :]:
            if count <= 0:
                break
            pts = self.pts(chunk)[:count]
            found.append((chunk, pts))
            count -= len(pts)
        return found

    @property
    def name(self) -> str:
        """The name of the order's artefact."""
        order = self.order
        digests = [artefact.sha256 for artefact in order.inputs]
        suffix = output_suffix(order.container, self.options.compose)
        chunk = self.chunk.name if work_named(order.stage).per_chunk else ""
        return artefact_name(order.stage, order.fingerprint, chunk, digests, suffix, order.request)

    def fingerprint(self, stage: str) -> str:
        """The fingerprint of a stage, from the words of the order."""
        order = self.order
        facts = fingerprint_facts(self.manifest, order.model_sha256, self.options, order.container, order.plan)
        return stage_fingerprint(stage, facts)

    def check(self) -> None:
        """Raise VerificationError unless the order says what it is, and names inputs of its own job."""
        order = self.order
        if order.fingerprint != self.fingerprint(order.stage):
            raise VerificationError("the order's fingerprint is not that of its options; nothing was done")
        stage = work_named(order.stage)
        if stage.inputs is None or work_named(stage.inputs).by == "submit":
            return
        chunks = (self.chunk,) if stage.per_chunk else self.manifest.chunks
        of = self.fingerprint(stage.inputs)
        if [a.frames for a in order.inputs] != [c.frames for c in chunks] or not all(
            is_of_chunk(stage.inputs, of, a.key, c) for a, c in zip(order.inputs, chunks, strict=True)
        ):
            raise VerificationError("the order's inputs are not those of its chunks; nothing was done")

    def decoded(
        self, pts: Sequence[int], threads: int, spent: Spent, beyond: Following = (), chunk: Chunk | None = None
    ) -> Generator[Decoded, None, None]:
        """The frames ``pts`` of a chunk and those ``beyond`` its end, decoded in a thread of their own.

        ``chunk``: another one than the order's.

        Raises SourceError, at once for a pixel format that cannot be painted on.
        """
        format_of(self.manifest.source.video.pix_fmt)
        frames = decode_chunk(
            self.source,
            self.manifest.source.video,
            chunk or self.chunk,
            pts,
            threads=threads,
            picked=self.manifest.picked,
            blackout=self.options.source.on_undetectable == "blackout",
            beyond=beyond,
        )
        return prefetch(spent.each("decode", frames), AHEAD, "decode")

    def check_source(self) -> None:
        """Raise SourceError unless the source is unchanged since it was planned."""
        check_source(self.source, self.manifest.source)

    def check_content(self) -> None:
        """Raise SourceError unless each byte of the source is what it was when it was planned."""
        if file_digest(self.source) != self.manifest.source.digest:
            text = f"{self.source}: its content changed since the job was submitted"
            raise SourceError(text, hint="submit it again; if nobody changed it, check the disk")


def read_plan(order: Order, store: Storage, *, of_source: bool = True) -> Plan:
    """The plan of an order, which is checked. Raises StorageError, SourceError, SettingsError, VerificationError.

    ``of_source``: the source is read, so it has to be there and unchanged.
    """
    with opened(store, order.plan) as path:
        manifest = load_manifest(path.read_text())
    plan = Plan(with_inputs(order, store), manifest, load_options(order.options), _source(manifest, order), store)
    plan.check()
    if of_source:
        plan.check_source()
    return plan


def _source(manifest: Manifest, order: Order) -> Path:
    """What is read: the file that the order names, or the repaired copy of it."""
    return Path(manifest.source.path if manifest.source.original else order.source)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: its number of frames and, for a segment, what :class:`farm.messages.Artefact` says of it.

    ``sha256``: of the file, from before it was verified; empty where that is no step of its own.
    """

    frames: int
    sha256: str = ""
    psnr: float | None = None
    covered: int | None = None
    masks: str | None = None
    copied: int | None = None


def make_once(plan: Plan, frames: int, spent: Spent, write: Callable[[Path], int | Written]) -> Result:
    """The order's artefact: the known one if the store holds it, else what ``write`` writes to the path it is given.

    ``write`` returns the number of frames written, or a :class:`Written`. Only if that number is ``frames`` does the
    artefact become visible, else VerificationError is raised. A known artefact that is damaged is set aside.
    """
    store, known, name = plan.store, plan.order.known, plan.name
    damaged: list[str] = []
    if known is not None and known.frames == frames and key_of(name, known.sha256) == known.key:
        if is_whole(store, known.key):
            return Result(known, reused=True, spent=spent.seconds())
        if store.set_aside(known.key):
            damaged.append(known.key)
    with store.put(name) as draft:
        written = write(draft.path)
        if isinstance(written, int):
            written = Written(written)
        if written.frames != frames:
            raise VerificationError(f"{name}: {written.frames} frames were written, {frames} planned")
        draft.verified = written.sha256
    if draft.damaged:
        damaged.append(draft.key)
    said = {"psnr": written.psnr, "covered": written.covered, "masks": written.masks, "copied": written.copied}
    artefact = draft.artefact(frames).model_copy(update=said)
    return Result(artefact, reused=False, spent=spent.seconds(), damaged=tuple(damaged))
