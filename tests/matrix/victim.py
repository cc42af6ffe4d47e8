"""A process that handles damaged files one by one and reports how each ended. Started by :mod:`hunting`.

Reads JSON lines ``{"source": …, "folder": …}`` and answers each with two lines: how the farm ended, and what the
checker found.
"""

import contextlib
import faulthandler
import json
import os
import resource
import sys
import traceback
from pathlib import Path

from farm.errors import FarmError
from tests.matrix.journey import Journey, Tools, travel
from tests.matrix.properties import Allowed, check
from tests.matrix.rows import failures
from tests.matrix.test_matrix import left_out, one_line

MEMORY = 4 << 30  # bytes of address space


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    faulthandler.enable()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keep what libraries print out of the answers
    for line in sys.stdin:
        order = json.loads(line)
        source, folder = Path(order["source"]), Path(order["folder"])
        ended, said, journey = _travel(source, folder)
        answers.write(json.dumps([ended, said]) + "\n")
        answers.write(json.dumps(_examine(source, folder, journey)) + "\n")


def _travel(source: Path, folder: Path) -> tuple[str, str, Journey | None]:
    try:
        journey = travel(source, folder, Tools(fixed=True))
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
    allowed = Allowed(journey.manifest.source.video.index, left_out=left_out(journey))
    try:
        wrong = failures(check(source, journey.output, allowed, journey.rectangles))
    except Exception:  # noqa: BLE001 - a checker that fails has confirmed nothing
        return [traceback.format_exc()]
    # Some damaged HEVC decodes to a different picture in each run, with any number of threads, and logs nothing. The
    # farm refuses it if its two passes differ (workers/vision/sketch.py); the checker's decoding is a third one.
    unsteady = journey.manifest.source.video.codec == "hevc"
    return [line for line in wrong if not (unsteady and line.startswith("picture:"))]


if __name__ == "__main__":
    main()
