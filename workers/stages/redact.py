"""Stage redact: paints over the faces of a chunk and encodes its frames."""

from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from math import isinf
from pathlib import Path

import av

from farm.digests import file_digest
from farm.domain.encoding import EncoderSettings
from farm.domain.geometry import Box
from farm.domain.options import AUTO
from farm.domain.track import FrameTracks, load_frame
from farm.errors import SourceError, VerificationError
from farm.media.encoding.encode import SegmentWriter
from farm.media.encoding.sizing import TRIES, Sizing
from farm.media.planes import black_out, top_down
from farm.media.progress import part
from farm.media.reading.chunk import Decoded
from farm.media.verifying.fidelity import Samples
from farm.media.verifying.verify_segment import verify_segment
from farm.messages import Order
from farm.storage.base import Storage, opened
from workers.stages.covering import Covering
from workers.stages.orders import Plan, Report, Result, Tools, Written, make_once, read_plan
from workers.stages.prefetch import AHEAD, prefetch
from workers.stages.spent import Spent
from workers.vision.resampling import in_format, resized
from workers.vision.sketch import is_like

_PARTS = TRIES + 2  # of the reported progress: the encodes of `--crf auto`, and verifying

#: A frame for the encoder, and boxes in the source's pixels that enclose all that was painted on it.
_Painted = tuple[av.VideoFrame, list[Box]]


def run(order: Order, store: Storage, tools: Tools, report: Report) -> Result:
    """Redact a chunk into a segment. Decoding, painting and encoding overlap; memory does not grow with the chunk.

    ``order.inputs`` holds the chunk's tracks, one line per frame. Raises SourceError, SettingsError, StorageError,
    VerificationError when tracks or segment do not match the plan, and whatever ``report`` raises.
    """
    tools.free_detectors()
    spent = Spent()
    plan = read_plan(order, store)
    return make_once(plan, plan.chunk.frames, spent, lambda path: _redact(path, plan, tools, report, spent))


def _redact(path: Path, plan: Plan, tools: Tools, report: Report, spent: Spent) -> Written:
    video, chunk = plan.manifest.source.video, plan.chunk
    (tracks,) = plan.order.inputs
    pts = plan.pts(chunk)
    settings, redact = plan.manifest.encoder, plan.options.redact
    covering = Covering(plan)
    verifying = part(report, chunk.frames, _PARTS - 1, _PARTS)
    covered: Counter[str] = Counter()
    report(0)

    def encode(settings: EncoderSettings, report: Report) -> tuple[Samples, int]:
        samples = Samples(chunk.frames, settings, settings.width / video.width)
        size = settings.width, settings.height
        writer = SegmentWriter(path, settings, tools.threads)
        covered.clear()
        with opened(plan.store, tracks.key) as lines, lines.open(encoding="ascii") as rows:
            decoded = plan.decoded(pts, tools.threads, spent)
            first = 1 + plan.manifest.frames_before(chunk.index)
            flat = settings.given if settings.given != video.pix_fmt else None
            frames = _painted(plan.source, decoded, map(load_frame, rows), covering, first, size, covered, flat)
            painted = spent.each("paint", frames)
            with closing(prefetch(painted, AHEAD, "paint")) as ready:
                _encode(ready, writer, samples, report, spent)
        if writer.pts != pts:
            raise VerificationError(f"{path}: the frames that were encoded are not those that were planned")
        return samples, writer.size

    if redact.crf == AUTO:
        seconds = float((chunk.pts_end - chunk.pts_start) * video.time_base)
        sizing = Sizing(settings, redact.preset, chunk.size, seconds)
        number = 0
        samples, size = encode(sizing.settings, part(report, chunk.frames, number, _PARTS))
        while not sizing.took(size):
            number += 1
            samples, size = encode(sizing.settings, part(report, chunk.frames, number, _PARTS))
        settings = sizing.settings
    else:
        samples, _ = encode(settings, part(report, chunk.frames, 0, _PARTS, width=_PARTS - 1))
    plan.check_source()
    with spent.part("verify"):
        digest = file_digest(path)
        verified = verify_segment(path, pts, settings, threads=tools.threads, progress=verifying, samples=samples)
    return Written(verified, digest, None if isinf(samples.psnr) else samples.psnr, covered["frames"], tracks.sha256)


def _encode(frames: Iterator[_Painted], writer: SegmentWriter, samples: Samples, report: Report, spent: Spent) -> None:
    with writer:
        for frame, covers in frames:
            with spent.part("verify"):
                samples.offer(writer.frames, frame, covers)
            with spent.part("encode"):
                writer.write(frame)
            report(writer.frames)
        with spent.part("encode"):
            writer.close()


def _painted(
    source: Path,
    frames: Generator[Decoded, None, None],
    tracks: Iterator[FrameTracks],
    covering: Covering,
    first: int,
    size: tuple[int, int],
    covered: Counter[str],
    pix_fmt: str | None = None,
) -> Generator[_Painted, None, None]:
    """Each frame with its tracks covered, in the output's size ``size``.

    ``pix_fmt``: to convert them to. ``first``: the number of the first frame; ``covered`` counts the frames that the
    tracks cover.
    Raises VerificationError unless lines and frames match, SourceError for a frame of ``source`` that is not the
    picture that was examined.
    """
    with closing(frames):
        for number, decoded in enumerate(frames, first):
            frame = top_down(decoded.frame)
            row = next(tracks, None)
            if row is None or row.pts != frame.pts:
                raise VerificationError(f"the tracks have no line for the frame of pts {frame.pts}")
            if row.black or decoded.black:
                black_out(frame)
                covers = [Box(0, 0, frame.width, frame.height)]
            else:
                if row.sketch and not is_like(frame, row.sketch):
                    raise SourceError(
                        f"{source}: the frame of pts {frame.pts} differs from the one that was examined",
                        hint="the source is damaged there in a way that its decoder does not report; repair or cut it",
                    )
                covers = covering.cover(frame, row)
            covers += covering.burn(frame, number, row)
            if row.black or row.boxes:
                covered["frames"] += 1
            fitted = resized(frame, *size)
            yield in_format(fitted, pix_fmt) if pix_fmt else fitted, covers
        if next(tracks, None) is not None:
            raise VerificationError("the tracks have more lines than the chunk has frames")
