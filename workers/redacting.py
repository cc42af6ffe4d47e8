"""Stage redact: the faces of a chunk are painted over and its frames encoded."""

from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import av

from farm.domain.options import RedactOptions
from farm.domain.track import FrameTracks, load_frame
from farm.errors import VerificationError
from farm.media.encode import SegmentWriter, encoder_settings
from farm.media.progress import part
from farm.media.verify import verify_segment
from farm.messages import Order
from farm.storage.base import Storage
from workers.frames import Decoded, decode_chunk
from workers.orders import Plan, Report, Result, Tools, check_input, make_once, read_plan
from workers.planes import layout_of
from workers.prefetch import prefetch
from workers.redactors.painting import paint
from workers.redactors.registry import redactor_named
from workers.spent import Spent

_AHEAD = 4  # frames that one step may be ahead of the next
_PARTS = 8  # of what is reported, the last is for verifying


def run_redact(order: Order, store: Storage, tools: Tools, report: Report) -> Result:
    """Redact a chunk into a segment. Decoding, painting and encoding overlap; memory does not grow with the chunk.

    ``order.inputs`` holds the chunk's tracks: one line for each frame. Raises SourceError, SettingsError,
    VerificationError when tracks or segment do not fit the plan, StorageError, and whatever ``report`` raises.
    """
    spent = Spent()
    plan = read_plan(order, store)
    key = f"segments/{order.fingerprint}/{plan.chunk.name}.mp4"
    return make_once(store, key, plan.chunk.frames, spent, lambda path: _redact(path, plan, tools, report, spent))


def _redact(path: Path, plan: Plan, tools: Tools, report: Report, spent: Spent) -> int:
    video, chunk = plan.manifest.source.video, plan.chunk
    layout_of(video.pix_fmt)
    (tracks,) = plan.order.inputs
    check_input(plan.store, tracks)
    pts = plan.pts(chunk)
    settings = encoder_settings(video, plan.options.redact)
    encoding = part(report, chunk.frames, 0, _PARTS, width=_PARTS - 1)
    verifying = part(report, chunk.frames, _PARTS - 1, _PARTS)
    frames = decode_chunk(plan.source, video, chunk, pts, threads=tools.threads)
    with plan.store.read(tracks.key) as lines, lines.open(encoding="ascii") as rows:
        decoded = prefetch(spent.each("decode", frames), _AHEAD, "decode")
        painted = spent.each("paint", _painted(decoded, map(load_frame, rows), plan.options.redact))
        with closing(prefetch(painted, _AHEAD, "paint")) as ready:
            _encode(ready, SegmentWriter(path, settings, tools.threads), encoding, spent)
    plan.check_source()
    with spent.part("verify"):
        return verify_segment(path, pts, settings, threads=tools.threads, progress=verifying)


def _encode(frames: Iterator[av.VideoFrame], writer: SegmentWriter, report: Report, spent: Spent) -> None:
    with writer:
        for frame in frames:
            with spent.part("encode"):
                writer.write(frame)
            report(writer.frames)
        with spent.part("encode"):
            writer.close()


def _painted(
    frames: Generator[Decoded, None, None], tracks: Iterator[FrameTracks], options: RedactOptions
) -> Generator[av.VideoFrame, None, None]:
    """Each frame covered as its line of tracks says. Raises VerificationError unless lines and frames match."""
    redactor = redactor_named(options.style)
    with closing(frames):
        for decoded in frames:
            frame = decoded.frame
            row = next(tracks, None)
            if row is None or row.pts != frame.pts:
                raise VerificationError(f"the tracks have no line for the frame of pts {frame.pts}")
            paint(frame, (tracked.box for tracked in row.boxes), redactor, options)
            yield frame
        if next(tracks, None) is not None:
            raise VerificationError("the tracks have more lines than the chunk has frames")
