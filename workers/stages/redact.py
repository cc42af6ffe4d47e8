"""Stage redact: paints over the faces of a chunk and encodes its frames; copies groups of frames without a face."""

import logging
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
from farm.domain.track import FrameTracks
from farm.errors import SourceError, VerificationError
from farm.media.encoding.encode import SegmentWriter
from farm.media.encoding.sizing import TRIES, Sizing
from farm.media.planes import black_out, top_down
from farm.media.progress import part
from farm.media.verifying.fidelity import Samples
from farm.media.verifying.verify_segment import verify_segment
from farm.messages import Order
from farm.storage.base import Storage
from workers.stages.covering import Covering
from workers.stages.orders import Plan, Report, Result, Tools, Written, make_once, read_plan
from workers.stages.prefetch import AHEAD, prefetch
from workers.stages.spent import Spent
from workers.stages.splitting import Runs
from workers.vision.resampling import in_format, resized
from workers.vision.sketch import is_like

_PARTS = TRIES + 2  # of the reported progress: the encodes of `--crf auto`, and verifying

_LOG = logging.getLogger(__name__)
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
    (tracks,) = plan.order.inputs
    report(0)
    with spent.part("splice"):
        runs = Runs.of(plan, tracks)
    try:
        return _written(path, runs, tools, report, spent)
    except VerificationError as error:
        if not any(run.copied for run in runs.runs):
            raise
        _LOG.warning("%s: encoded as a whole, as copying failed: %s", plan.chunk.name, error)
    return _written(path, runs.whole(), tools, report, spent)


def _written(path: Path, runs: Runs, tools: Tools, report: Report, spent: Spent) -> Written:
    """Write the segment and verify it."""
    plan, encoded = runs.plan, runs.encoded_pts
    video, settings, redact = plan.manifest.source.video, plan.manifest.encoder, plan.options.redact
    covered: Counter[str] = Counter()

    def encode(settings: EncoderSettings, report: Report) -> tuple[Samples, int]:
        samples = Samples(len(encoded), settings, settings.width / video.width)
        covered.clear()
        with runs.splice() as splice:
            writer = SegmentWriter(path, settings, tools.threads, splice)
            painted = spent.each("paint", _painted(runs, settings, tools.threads, covered, spent))
            with closing(prefetch(painted, AHEAD, "paint")) as ready:
                _encode(ready, writer, samples, report, spent)
        if list(writer.pts) != encoded:
            raise VerificationError(f"{path}: the frames that were encoded are not those that were planned")
        return samples, writer.size

    frames = plan.chunk.frames
    if redact.crf == AUTO and encoded:
        sizing = Sizing(settings, redact.preset, *runs.target())
        number = 0
        samples, size = encode(sizing.settings, part(report, frames, number, _PARTS))
        while not sizing.took(size):
            number += 1
            samples, size = encode(sizing.settings, part(report, frames, number, _PARTS))
        settings = sizing.settings
    else:
        samples, _ = encode(settings, part(report, frames, 0, _PARTS, width=_PARTS - 1))
    plan.check_source()
    verifying = part(report, frames, _PARTS - 1, _PARTS)
    with spent.part("verify"), runs.source() as source:
        digest = file_digest(path)
        verified = verify_segment(
            path, runs.pts, settings, threads=tools.threads, progress=verifying, samples=samples, source=source
        )
    psnr = None if isinf(samples.psnr) else samples.psnr
    return Written(verified, digest, psnr, covered["frames"], runs.tracks.sha256, frames - len(encoded))


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
    runs: Runs, settings: EncoderSettings, threads: int, covered: Counter[str], spent: Spent
) -> Generator[_Painted, None, None]:
    """Each frame that is encoded with its tracks covered, in the output's size. ``covered`` counts those they cover.

    Raises VerificationError unless lines and frames match, SourceError for a frame of the source that is not the
    picture that was examined.
    """
    plan = runs.plan
    covering, first = Covering(plan), 1 + plan.manifest.frames_before(plan.chunk.index)
    flat = settings.given if settings.given != plan.manifest.source.video.pix_fmt else None
    with closing(runs.rows(*runs.encoded)) as rows:
        for run in runs.encoded:
            pts = runs.pts[run.first : run.end]
            with closing(plan.decoded(pts, threads, spent, chunk=runs.chunk_of(run))) as frames:
                for number, (decoded, row) in enumerate(zip(frames, rows, strict=False), first + run.first):
                    frame = top_down(decoded.frame)
                    covers = _covered(plan.source, frame, row, covering, black=decoded.black)
                    covers += covering.burn(frame, number, row)
                    if row.black or row.boxes:
                        covered["frames"] += 1
                    fitted = resized(frame, settings.width, settings.height)
                    yield in_format(fitted, flat) if flat else fitted, covers
        next(rows, None)  # which checks that no line is left


def _covered(source: Path, frame: av.VideoFrame, row: FrameTracks, covering: Covering, *, black: bool) -> list[Box]:
    """Cover the tracks of a frame, all of it if it is ``black``. Returns boxes that hold all that was painted."""
    if frame.pts != row.pts:
        raise VerificationError(f"the tracks have no line for the frame of pts {frame.pts}")
    if row.black or black:
        black_out(frame)
        return [Box(0, 0, frame.width, frame.height)]
    if row.sketch and not is_like(frame, row.sketch):
        raise SourceError(
            f"{source}: the frame of pts {frame.pts} differs from the one that was examined",
            hint="the source is damaged there in a way that its decoder does not report; repair or cut it",
        )
    return covering.cover(frame, row)
