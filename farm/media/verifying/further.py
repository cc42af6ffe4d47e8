"""Compares all videos and covers of an output with its source's, without a plan: the main one with all the rest."""

from pathlib import Path
from typing import Any

from farm.domain.manifest import OtherStream
from farm.errors import VerificationError
from farm.media.reading.limits import NO_LIMITS, Limits
from farm.media.reading.probe import probe_output, probe_source
from farm.media.verifying.comparing import compare
from farm.media.verifying.comparison import DIFFERS, FAILED, OK, Comparison
from farm.media.verifying.packets import name_of


def compare_all(
    source: Path,
    output: Path,
    *,
    video: int | None = None,
    limits: Limits = NO_LIMITS,
    **options: Any,  # noqa: ANN401 - those of compare
) -> Comparison:
    """Compare ``output`` with ``source``: its main video and other streams as :func:`compare` does, with its
    ``options``; then each further video and cover with the source's next one of its kind.

    ``video``: the index of the source's main video. A further stream that the output lacks differs; one that differs
    from the source in more than its faces has failed. Raises as :func:`compare`.
    """
    found = compare(source, output, limits=limits, video=video, **options)
    ours = [o for o in probe_source(source, limits, video).others if o.redacted]
    theirs = [o for o in probe_output(output).others if o.redacted]
    for other in ours:
        copy = next((each for each in theirs if each.kind == other.kind), None)
        if copy is None:
            found.say("streams", DIFFERS, f"the output lacks {name_of(other)}")
            continue
        theirs.remove(copy)
        _compare_pair(found, other, copy, limits, {**options, "part": False, "sound": None})
    for copy in theirs:
        found.say("streams", FAILED, f"{name_of(copy)} of the output is not in the source")
    return found


def _compare_pair(
    found: Comparison, other: OtherStream, copy: OtherStream, limits: Limits, options: dict[str, Any]
) -> None:
    try:
        pair = compare(found.source, found.output, limits=limits, video=other.index, copy=copy.index, **options)
    except VerificationError as e:
        found.say(f"picture of stream {other.index}", FAILED, e.message)
        return
    for finding in pair.findings:
        if finding.verdict != OK or finding.name in ("frames", "picture"):
            found.say(f"{finding.name} of stream {other.index}", finding.verdict, finding.text)
