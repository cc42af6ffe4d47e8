"""A source of which some frames are covered, on its way through redacting and composing; what its output is asked."""

import subprocess
from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import dropwhile
from pathlib import Path

import av
import numpy as np

from farm.digests import file_digest
from farm.domain.artefacts import plan_key
from farm.domain.geometry import Box
from farm.domain.manifest import Manifest
from farm.domain.options import ComposeOptions, JobOptions, RedactOptions
from farm.domain.track import FrameTracks, TrackedBox
from farm.executables import find_ffmpeg
from farm.jobs.plans import store_plan
from farm.media.planes import planes_of
from farm.storage.local import LocalStorage
from tests.integration.workers.conftest import Bench, StubTools
from tests.planned import plan_of
from workers.stages.compose import run as run_compose
from workers.stages.redact import run as run_redact
from workers.vision.sketch import sketch_of

#: What is covered, of pictures of at least 160 x 120.
COVERED = Box(40, 30, 48, 48)


@dataclass(frozen=True)
class Spliced:
    """``covered``: the numbers of the frames with a mask; ``copied``: of those whose packets are the source's."""

    source: Path
    out: Path
    manifest: Manifest
    pts: list["array[int]"]
    covered: frozenset[int]

    @property
    def copied(self) -> frozenset[int]:
        mine = packets(self.source)
        return frozenset(n for n, (_, digest) in enumerate(packets(self.out)) if (mine[n][1]) == digest)


def packets(path: Path) -> list[tuple[float, str]]:
    """The time in seconds and the SHA-256 of each video packet, by time."""
    with av.open(str(path)) as container:
        found = [p for p in container.demux(video=0) if p.size and p.pts is not None]
        return sorted((float((p.pts or 0) * p.time_base), sha256(bytes(p)).hexdigest()) for p in found)


def pictures(path: Path, decoder: str | None = None) -> list[str]:
    """A digest of each frame, decoded by ffmpeg with all checks of errors: no word of it is accepted.

    ``decoder``: another one than FFmpeg's own.
    """
    said = ["-c:v", decoder] if decoder else ["-err_detect", "+crccheck+bitstream+buffer+explode"]
    command = [str(find_ffmpeg().path), "-nostdin", "-v", "warning", *said, "-i", str(path), "-map", "0:v:0",
               "-fps_mode", "passthrough", "-f", "framemd5", "-"]  # fmt: skip
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    assert ran.stderr == ""
    return [line.rsplit(",", 1)[1].strip() for line in ran.stdout.splitlines() if not line.startswith("#")]


def digest(frame: av.VideoFrame) -> str:
    """Of all samples of a frame."""
    return sha256(b"".join(plane.tobytes() for plane in planes_of(frame, alpha=True))).hexdigest()


def sought(path: Path, at: float, earlier: float = 0.0) -> list[str]:
    """The digests of the frames from the key frame at or before a time up to a few after it, as a player seeks."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        container.seek(round((at - earlier) / stream.time_base), stream=stream, backward=True)
        found = []
        following = dropwhile(lambda packet: not packet.is_keyframe, container.demux(stream))
        for frame in (frame for packet in following for frame in packet.decode()):
            assert not frame.is_corrupt
            found.append((float(frame.time or 0), digest(frame)))
            if float(frame.time or 0) > at + 0.3:
                break
        return [digest for time, digest in found if time >= at - 1e-6]


def all_pictures(path: Path) -> list[tuple[float, str]]:
    """As :func:`sought`, of all frames, decoded from the start."""
    with av.open(str(path)) as container:
        return [(float(frame.time or 0), digest(frame)) for frame in container.decode(video=0)]


def changed(source: Path, out: Path) -> Iterator[float]:
    """For each frame, how much luma changed where it may be covered."""
    x, y, w, h = (int(side) for side in (COVERED.x, COVERED.y, COVERED.w, COVERED.h))
    with av.open(str(source)) as a, av.open(str(out)) as b:
        for one, other in zip(a.decode(video=0), b.decode(video=0), strict=True):
            mine, theirs = (
                np.asarray(f.to_ndarray(format="gray")[y : y + h, x : x + w], np.int16) for f in (one, other)
            )
            yield float(np.abs(mine - theirs).mean())


def splice(
    source: Path, folder: Path, covered: Collection[int], suffix: str = ".mp4", *, container: str = "mp4",
    chunk_seconds: float = 2.0, redact: RedactOptions | None = None, metadata: str = "strip-private",
) -> Spliced:  # fmt: skip
    """Redact and compose a source whose frames ``covered`` (their numbers) have a mask. The output was verified."""
    redact = redact or RedactOptions(style="solid", preset="ultrafast")
    manifest, slices = plan_of(source, chunk_seconds, redact=redact, container=container, metadata=metadata)
    store = LocalStorage(folder / "store")
    store_plan(store, plan_key(manifest), manifest, slices)
    options = JobOptions(redact=redact, compose=ComposeOptions(metadata=metadata))
    made = Bench(source, folder / "store", store, manifest, [list(part) for part in slices], options)
    with av.open(str(source)) as opened:
        sketches = {f.pts: sketch_of(f) for f in opened.decode(video=manifest.source.video.index)}
    segments, before = [], 0
    for chunk in manifest.chunks:
        boxes = [(TrackedBox(0, COVERED),) if n in covered else () for n in range(before, before + chunk.frames)]
        rows = [
            FrameTracks(pts, box, sketch=sketches[pts]) for pts, box in zip(slices[chunk.index], boxes, strict=True)
        ]
        tracks = made.linked(rows, chunk.index)
        result = run_redact(made.order("redact", chunk.index, (tracks,)), store, StubTools(), lambda _: None)
        assert result.artefact.covered == sum(map(bool, boxes))
        segments.append(result.artefact)
        before += chunk.frames
    order = made.order("compose", 0, tuple(segments), container)
    result = run_compose(order, store, StubTools(), lambda _: None)
    out = folder / f"out{suffix}"
    with store.fetch(result.artefact.key) as path:
        out.write_bytes(path.read_bytes())
    assert file_digest(out) == result.artefact.sha256
    return Spliced(source, out, manifest, list(slices), frozenset(covered))
