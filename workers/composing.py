"""Stage compose: all segments and the source's other streams become one file, which is verified whole."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from farm.errors import VerificationError
from farm.media.compose import compose, left_out
from farm.media.containers import MUXERS
from farm.media.encode import encoder_settings
from farm.media.progress import part
from farm.media.verify import verify_output
from farm.messages import Order
from farm.storage.base import Storage
from workers.orders import Plan, Report, Result, Tools, check_input, make_once, read_plan
from workers.spent import Spent

_PARTS = 3  # of equal weight in what is reported: the segments are read, composed, and all is verified


def run_compose(order: Order, store: Storage, tools: Tools, report: Report) -> Result:
    """Join the segments ``order.inputs`` (in the chunks' order) and verify the result against source and plan.

    Raises VerificationError, OutputError, StorageError, SourceError, and whatever ``report`` raises.
    """
    spent = Spent()
    plan = read_plan(order, store)
    suffix = next((s for s, muxer in MUXERS.items() if muxer == order.container), f".{order.container}")
    key = f"outputs/{order.fingerprint}/output{suffix}"
    threads = tools.threads
    result = make_once(
        store, key, plan.manifest.frames, spent, lambda path: _compose(path, plan, threads, report, spent)
    )
    return replace(result, notes=left_out(plan.source, plan.manifest, order.container))


def _compose(path: Path, plan: Plan, threads: int, report: Report, spent: Spent) -> int:
    manifest, segments = plan.manifest, plan.order.inputs
    if len(segments) != len(manifest.chunks):
        raise VerificationError(f"{len(segments)} segments for {len(manifest.chunks)} chunks")
    settings = encoder_settings(manifest.source.video, plan.options.redact)
    reading, composing, verifying = (part(report, manifest.frames, number, _PARTS) for number in range(_PARTS))
    with ExitStack() as stack:
        with spent.part("check"):
            done = 0
            for chunk, segment in zip(manifest.chunks, segments, strict=True):
                if not segment.key.endswith(f"/{chunk.name}.mp4") or segment.frames != chunk.frames:
                    raise VerificationError(f"{segment.key} is not the segment of chunk {chunk.name}")
                check_input(plan.store, segment)
                done += chunk.frames
                reading(done)
        paths = [stack.enter_context(plan.store.read(segment.key)) for segment in segments]
        with spent.part("compose"):
            compose(plan.source, manifest, plan.pts, paths, settings, path, plan.order.container, progress=composing)
        with spent.part("verify"):
            verified = verify_output(plan.source, manifest, plan.pts, path, paths, threads=threads, progress=verifying)
    plan.check_source()
    return verified.frames
