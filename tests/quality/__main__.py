"""``python -m tests.quality [--parts reid,leak] [--limit N]``: measure, print, and write docs/quality.md."""

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

import cv2

from tests.conftest import PROJECT
from tests.quality.footage import Skipped
from tests.quality.options import Options
from tests.quality.report import Section, write_section

#: Each is ``measure`` in the module of its name.
PARTS = ("leak", "recall", "plates", "flicker", "dense", "reid")


def main() -> int:
    """Run the parts asked for; 1 if one was skipped, 2 if a promise does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}, with commas")
    parser.add_argument(
        "--limit", type=int, default=0, help="of faces, pictures or clips; what is found is printed only"
    )
    parser.add_argument(
        "--settings", type=Path, help="a JSON file of settings to compare, as tests/quality/settings.py"
    )
    parser.add_argument("--work", type=Path, default=PROJECT / "build" / "quality", help="keeps redacted clips")
    parser.add_argument("--out", type=Path, default=PROJECT / "docs" / "quality.md")
    given = parser.parse_args()
    parts = given.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    cv2.setNumThreads(1)
    ended = 0
    given.work.mkdir(parents=True, exist_ok=True)
    options = Options(given.limit, given.work, given.settings)
    for part in parts:
        began = time.monotonic()
        try:
            section: Section = import_module(f"tests.quality.{part}").measure(options)
        except Skipped as reason:
            print(f"{part}: skipped: {reason}", file=sys.stderr)
            ended = max(ended, 1)
            continue
        print(section.text(), f"({time.monotonic() - began:.0f} s)\n", flush=True)
        if not given.limit:
            write_section(given.out, section)
        for line in section.broken:
            print(f"{part}: does not hold: {line}", file=sys.stderr)
            ended = 2
    return ended


if __name__ == "__main__":
    sys.exit(main())
