"""Divides a chunk into runs of frames that are painted and encoded, and of groups that are copied as they are."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice

from av.video.frame import VideoFrame

from farm.domain.manifest import Chunk
from farm.domain.runs import Run, plan_runs
from farm.domain.track import FrameTracks, load_frame
from farm.errors import VerificationError
from farm.media.encoding.encode import Splice
from farm.media.splicing.base import Splicer
from farm.media.splicing.groups import Copied, copied_packets, whole_groups
from farm.media.splicing.table import splicer_of
from farm.media.verifying.verify_segment import Source
from farm.messages import Artefact
from farm.storage.base import opened
from workers.stages.orders import Plan
from workers.vision.sketch import is_like


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of an order's chunk. ``pts``: of its frames; ``splicer``: None where all of it is encoded."""

    plan: Plan
    tracks: Artefact
    pts: Sequence[int]
    runs: tuple[Run, ...]
    splicer: Splicer | None = None

    @classmethod
    def of(cls, plan: Plan, tracks: Artefact) -> "Runs":
        """Read the tracks, and what may be copied. Raises VerificationError, SourceError, StorageError."""
        chunk, pts = plan.chunk, plan.pts(plan.chunk)
        whole = cls(plan, tracks, pts, (Run(0, chunk.frames),))
        if not plan.manifest.encoder.copies:
            return whole
        video = plan.manifest.source.video
        splicer = splicer_of(plan.source, video, plan.options)
        touched = [row.black or bool(row.boxes) for row in whole.rows(*whole.runs)]
        if all(touched):
            return replace(whole, splicer=splicer)
        groups = list(whole_groups(plan.source, video, chunk, pts, splicer))
        return replace(whole, runs=plan_runs(chunk.frames, groups, touched), splicer=splicer)

    def whole(self) -> "Runs":
        """The same chunk, all of it encoded."""
        return replace(self, runs=(Run(0, self.plan.chunk.frames),))

    @property
    def encoded(self) -> tuple[Run, ...]:
        """The runs that are encoded."""
        return tuple(run for run in self.runs if not run.copied)

    @property
    def encoded_pts(self) -> list[int]:
        """The pts of all frames that are encoded."""
        return [pts for run in self.encoded for pts in self.pts[run.first : run.end]]

    def chunk_of(self, run: Run) -> Chunk:
        """A run as a chunk, which decodes from its first frame on: it begins with the chunk, or behind a group."""
        chunk = self.plan.chunk
        end = chunk.pts_end if run.end == chunk.frames else self.pts[run.end]
        begin, seek = (self.pts[run.first],) * 2 if run.first else (chunk.pts_start, chunk.seek_pts)
        return replace(chunk, pts_start=begin, pts_end=end, frames=run.frames, seek_pts=seek)

    def rows(self, *runs: Run) -> Generator[FrameTracks, None, None]:
        """The tracks of each frame of some runs, in order. Raises VerificationError where they are of other frames."""
        with opened(self.plan.store, self.tracks.key) as path, path.open(encoding="ascii") as lines:
            at = 0
            for run in runs:
                for number, line in enumerate(islice(lines, run.first - at, run.end - at), run.first):
                    row = load_frame(line)
                    if row.pts != self.pts[number]:
                        raise VerificationError(f"the tracks have no line for the frame of pts {self.pts[number]}")
                    yield row
                    at = number + 1
                if at < run.end:
                    raise VerificationError(f"the tracks have no line for the frame of pts {self.pts[at]}")
            if at == self.plan.chunk.frames and next(lines, None) is not None:
                raise VerificationError("the tracks have more lines than the chunk has frames")

    def target(self) -> tuple[int, float]:
        """What the encoded runs are in the source: bytes of their packets, and seconds."""
        copied = self._packets() if self.splicer else ()
        size = self.plan.chunk.size - sum(len(packet.content) for packet in copied)
        parts = map(self.chunk_of, self.encoded)
        ticks = sum(part.pts_end - part.pts_start for part in parts)
        return size, float(ticks * self.plan.manifest.source.video.time_base)

    @contextmanager
    def splice(self) -> Iterator[Splice | None]:
        """What the writer of the segment copies; None where the source is not spliced."""
        if self.splicer is None:
            yield None
            return
        with closing(self._packets()) as packets:
            yield Splice(self.splicer, self.runs, packets)

    @contextmanager
    def source(self) -> Iterator[Source | None]:
        """What the segment is compared with; None where all of it is decoded."""
        copied = [run for run in self.runs if run.copied]
        if not copied:
            yield None
            return
        with closing(self._packets()) as packets, closing(self.rows(*copied)) as rows:

            def examine(number: int, frame: VideoFrame) -> None:
                row = next(row for row in rows if row.pts == self.pts[number])
                if row.sketch and not is_like(frame, row.sketch):
                    raise VerificationError(f"the copied frame of pts {row.pts} differs from the one that was examined")

            yield Source(self.runs, packets, examine)

    def _packets(self) -> Generator[Copied, None, None]:
        plan = self.plan
        assert self.splicer is not None
        return copied_packets(
            plan.source, plan.manifest.source.video, plan.chunk, self.pts, self.splicer, self.runs
        )  # fmt: skip
