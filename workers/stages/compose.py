"""Stage compose: joins all segments and the source's other streams into one file and verifies it."""

import shutil
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from farm.digests import file_digest
from farm.domain.manifest import load_manifest
from farm.domain.sound import SoundSpan, load_spans
from farm.errors import StorageError, VerificationError
from farm.media.composing.compose import compose, left_out
from farm.media.composing.pictures import check_pictures, write_pictures
from farm.media.composing.redacted import RedactedStream
from farm.media.progress import part
from farm.media.verifying.verify import verify_output
from farm.messages import Artefact, Order
from farm.storage.base import Storage, check_content, opened
from workers.stages.orders import Plan, Report, Result, Tools, Written, make_once, read_plan
from workers.stages.spent import Spent

_PARTS = 3  # of equal weight in the reported progress: reading the segments, composing, verifying


def run(order: Order, store: Storage, tools: Tools, report: Report) -> Result:
    """Join the segments ``order.inputs`` (in the chunks' order) and verify the result against source and plan.

    Raises VerificationError, OutputError, StorageError, SourceError, and whatever ``report`` raises.
    """
    spent = Spent()
    plan = read_plan(order, store)
    write = partial(_compose, plan=plan, tools=tools, report=report, spent=spent)
    result = make_once(plan, plan.manifest.frames, spent, write)
    if plan.options.compose.pictures:
        return result
    return replace(
        result, notes=left_out(plan.source, plan.manifest, order.container, plan.options.compose, _sound(order))
    )


def _compose(path: Path, plan: Plan, tools: Tools, report: Report, spent: Spent) -> Written:
    """Write the output, a video or an archive of pictures, to ``path``, and verify it."""
    manifest, options, settings = plan.manifest, plan.options.compose, plan.manifest.encoder
    sound = _sound(plan.order)
    size, free = sum(segment.size for segment in plan.order.inputs), shutil.disk_usage(path.parent).free
    if free < 2 * size:  # the joined video and the output
        text = f"{path.parent}: {free} bytes are free, and composing needs {2 * size}"
        raise StorageError(
            text, hint="free some space there, then run the same command again: finished chunks are kept"
        )
    composing, verifying = (part(report, manifest.frames, number, _PARTS) for number in (1, 2))
    with ExitStack() as stack:
        paths = _segments(plan, stack, report, spent)
        redacted = _redacted(plan, stack, spent)
        if options.pictures:
            with spent.part("compose"):
                frames = write_pictures(manifest, plan.pts, paths, options.pictures, path, composing)
            with spent.part("verify"):
                digest = file_digest(path)
                check_pictures(path, frames, verifying)
        else:
            parts = (plan.source, manifest, plan.pts)
            with spent.part("compose"):
                compose(
                    *parts, paths, settings, path, plan.order.container,
                    ffmpeg=tools.ffmpeg, progress=composing, options=options, sound=sound,
                    redacted=redacted,
                )  # fmt: skip
            with spent.part("verify"):
                digest = file_digest(path)
                frames = verify_output(
                    *parts, path, paths, settings, options, sound, redacted=redacted, threads=tools.threads,
                    progress=verifying,
                )  # fmt: skip
        with spent.part("check"):
            for key in (*(segment.key for segment in plan.order.inputs), *_outputs(plan.order)):
                check_content(plan.store, key)  # the output was compared with what they were when it was
    plan.check_source()
    if manifest.encoder.copies:  # the bytes of copied frames were examined if the source is still what was planned
        with spent.part("check"):
            plan.check_content()
    return Written(frames, digest)


def _sound(order: Order) -> tuple[SoundSpan, ...]:
    """The spans of sound that an order wants edited. Raises VerificationError."""
    try:
        return load_spans(cast("Any", order.request.get("sound", [])))
    except (ValueError, TypeError) as e:
        raise VerificationError(f"the order's request is none: {e}") from e


def _streams(order: Order) -> dict[int, tuple[str, Artefact]]:
    """The plan and the output of each companion job, by the stream of the source. Raises VerificationError."""
    rows = cast("dict[str, Any]", order.request.get("streams", {}))
    try:
        return {int(at): (row["plan"], Artefact.model_validate(row["output"])) for at, row in rows.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        raise VerificationError(f"the order's request names no outputs of companions: {e}") from e


def _outputs(order: Order) -> list[str]:
    return [output.key for _, output in _streams(order).values()]


def _redacted(plan: Plan, stack: ExitStack, spent: Spent) -> dict[int, RedactedStream]:
    """The further videos and covers, as companion jobs wrote them. Raises DamagedArtefact, VerificationError."""
    found = {}
    with spent.part("check"):
        for index, (key, output) in _streams(plan.order).items():
            with opened(plan.store, key) as path:
                manifest = load_manifest(path.read_text())
            source = manifest.source
            if (source.digest, source.video.index) != (plan.manifest.source.digest, index):
                raise VerificationError(f"{key} is not the plan of stream {index} of this source")
            found[index] = RedactedStream(stack.enter_context(opened(plan.store, output.key)), manifest)
    return found


def _segments(plan: Plan, stack: ExitStack, report: Report, spent: Spent) -> list[Path]:
    """The segments' paths, one per chunk in order. Raises DamagedArtefact."""
    reading = part(report, plan.manifest.frames, 0, _PARTS)
    reading(0)
    paths, done = [], 0
    with spent.part("check"):
        for segment in plan.order.inputs:
            paths.append(stack.enter_context(opened(plan.store, segment.key)))
            done += segment.frames
            reading(done)
    return paths
