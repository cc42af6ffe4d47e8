"""Stage compose: all segments and the source's other streams become one file, which is verified whole."""

from array import array
from contextlib import ExitStack
from pathlib import Path

from farm.domain.manifest import Chunk
from farm.errors import VerificationError
from farm.media.compose import compose
from farm.media.containers import MUXERS
from farm.media.encode import encoder_settings
from farm.media.verify import verify_output
from farm.messages import Order
from farm.storage.base import Storage
from workers.orders import Plan, Report, Result, Tools, check_input, make_once, read_plan
from workers.spent import Spent

_REQUESTS = 3  # how often each chunk's pts are asked for: twice in joining, once in verifying


def run_compose(order: Order, store: Storage, tools: Tools, report: Report) -> Result:  # noqa: ARG001 - a stage
    """Join the segments ``order.inputs`` (in the chunks' order) and verify the result against source and plan.

    Raises VerificationError, OutputError, StorageError, SourceError, and whatever ``report`` raises.
    """
    spent = Spent()
    plan = read_plan(order, store)
    suffix = next((s for s, muxer in MUXERS.items() if muxer == order.container), f".{order.container}")
    key = f"outputs/{order.fingerprint}/output{suffix}"
    return make_once(store, key, plan.manifest.frames, spent, lambda path: _compose(path, plan, report, spent))


def _compose(path: Path, plan: Plan, report: Report, spent: Spent) -> int:
    manifest, segments = plan.manifest, plan.order.inputs
    if len(segments) != len(manifest.chunks):
        raise VerificationError(f"{len(segments)} segments for {len(manifest.chunks)} chunks")
    settings = encoder_settings(manifest.source.video, plan.options.redact)
    progress = _Progress(plan, report)
    with ExitStack() as stack:
        with spent.part("check"):
            for segment in segments:
                check_input(plan.store, segment)
                report(0)
        paths = [stack.enter_context(plan.store.read(segment.key)) for segment in segments]
        with spent.part("compose"):
            compose(plan.source, manifest, progress.pts, paths, settings, path, plan.order.container)
        with spent.part("verify"):
            verified = verify_output(plan.source, manifest, progress.pts, path)
    plan.check_source()
    return verified.frames


class _Progress:
    """Hands out the chunks' pts and takes each request for a sign of progress."""

    def __init__(self, plan: Plan, report: Report) -> None:
        self._plan = plan
        self._report = report
        self._frames = 0

    def pts(self, chunk: Chunk) -> "array[int]":
        """The pts of a chunk's frames; reports a third of the frames of the chunks asked for before."""
        self._report(min(self._frames // _REQUESTS, self._plan.manifest.frames))
        self._frames += chunk.frames
        return self._plan.pts(chunk)
