"""A process that handles damaged files one by one and reports how each ended. Started by :mod:`hunting`.

Reads JSON lines ``{"source": …, "folder": …, "way": …}`` and answers each with two lines: how the farm ended, and
what the checker found.
"""

import contextlib
import faulthandler
import json
import os
import resource
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from farm.domain.containers import BOXED
from farm.domain.options import FIRST, JobOptions, SourceOptions
from farm.errors import FarmError
from farm.media.verifying.comparing import compare
from farm.media.verifying.comparison import FAILED
from tests.matrix.journey import SOLID, Journey, Tools, travel
from tests.matrix.properties import Allowed, check
from tests.matrix.rows import failures
from tests.matrix.test_matrix import left_out, one_line

OPTIONS = {
    "plain": SOLID,
    "repair": replace(SOLID, source=SourceOptions(repair=True)),
    "resize": replace(SOLID, source=SourceOptions(resize_to=FIRST)),
}
MEMORY = 4 << 30  # bytes of address space


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    faulthandler.enable()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keep what libraries print out of the answers
    for line in sys.stdin:
        order = json.loads(line)
        source, folder = Path(order["source"]), Path(order["folder"])
        ended, said, journey = _travel(source, folder, OPTIONS[order["way"]])
        answers.write(json.dumps([ended, said]) + "\n")
        answers.write(json.dumps(_examine(source, folder, journey)) + "\n")


def _travel(source: Path, folder: Path, options: JobOptions) -> tuple[str, str, Journey | None]:
    try:
        journey = travel(source, folder, Tools(fixed=True), options)
    except FarmError as error:
        with contextlib.suppress(AssertionError):
            return "refused", one_line(error, source), None
        return "exception", f"not one line: {error}", None
    except BaseException:  # noqa: BLE001 - any other exception is a finding
        return "exception", traceback.format_exc(), None
    return "output", "; ".join(journey.notes), journey


def _examine(source: Path, folder: Path, journey: Journey | None) -> list[str]:
    if journey is None:
        return [f"{p.name} was left" for p in folder.glob("store/outputs/**/output*")]
    read = Path(journey.manifest.source.path)  # the source, or its repaired copy
    if journey.manifest.source.video.resized:  # the checker knows no other size than the source's
        found = compare(read, journey.output, resize_to=FIRST)
        return [f"{finding.name}: {finding.text}" for finding in found.findings if finding.verdict == FAILED]
    video, encoder = journey.manifest.source.video, journey.manifest.encoder
    # which codecs, containers and formats of samples are kept is the matrix's to check
    codec = None if encoder.codec == video.codec else encoder.codec
    container = "mov" if journey.container in BOXED else {"m2ts": "mpegts", "webm": "matroska"}.get(journey.container)
    container = container or journey.container
    allowed = Allowed(video.index, codec, container, encoder.pix_fmt, left_out=left_out(journey))
    try:
        wrong = failures(check(read, journey.output, allowed, journey.rectangles))
    except Exception:  # noqa: BLE001 - a checker that fails has confirmed nothing
        return [traceback.format_exc()]
    # Some damaged HEVC decodes to a different picture in each run, with any number of threads, and logs nothing. The
    # farm refuses it if its two passes differ (workers/vision/sketch.py); the checker's decoding is a third one.
    unsteady = journey.manifest.source.video.codec == "hevc"
    return [line for line in wrong if not (unsteady and line.startswith("picture:"))]


if __name__ == "__main__":
    main()
