"""Part ``flicker``: blocks that are covered, or shown, for one frame only."""

import sys
from pathlib import Path

from tests.quality.blocks import DiffersError, Flicker, flicker, states
from tests.quality.clips import real_clips, truth_clips
from tests.quality.footage import Skipped
from tests.quality.options import Options
from tests.quality.report import Section, table
from tests.quality.running import RefusedError, redact
from tests.quality.settings import DEFACE, presets_of


def measure(options: Options) -> Section:
    """A row for each setting on each clip."""
    clips = [*real_clips(), *(clip.path for clip in truth_clips())][: options.limit or None]
    rows: list[list[object]] = [
        ["", "clip", "covered %", "on for one frame", "off for one frame", "of all, ppm", "of covered, %"]
    ]
    left_out = []
    for setting in (DEFACE, *presets_of(options)):
        found = {}
        for clip in clips:
            try:
                found[clip] = flicker(states(clip, redact(setting, clip, options.work).path))
            except (RefusedError, DiffersError) as reason:
                left_out.append(f"`{setting.name}`, {clip.name}: {reason}")
                continue
            print(f"flicker: {setting.name}, {clip.name}", file=sys.stderr, flush=True)
        rows += [row_of(setting.name, clip.stem, each) for clip, each in found.items()]
        if len(found) > 1:
            rows.append(row_of(setting.name, "**all**", _sum(list(found.values()))))
    if len(rows) == 1:
        raise Skipped("; ".join(left_out))
    ran = (
        "Real footage and clips with known faces. A block of 16 x 16 pixels is covered where its luma differs from the "
        "source's by 10 of 255 on average, shown where by less than 5. It blinks where it is covered (*on*), or shown "
        "(*off*), in one frame and not in the frames before and after. Where a cover moves fast, its rim does that too."
    )
    return Section("flicker", "Flicker", ran, [table(rows), *(f"Not measured: {line}" for line in left_out)])


def row_of(setting: str, clip: str, found: Flicker) -> list[object]:
    """A row of the table."""
    covered = 100 * found.covered / max(1, found.all)
    return [
        f"`{setting}`", clip, f"{covered:.2f}", found.on, found.off, f"{1e6 * found.share:.0f}",
        f"{100 * found.of_covered:.2f}",
    ]  # fmt: skip


def _sum(each: list[Flicker]) -> Flicker:
    return Flicker(*(sum(values) for values in zip(*((f.all, f.covered, f.on, f.off) for f in each), strict=True)))


def of_files(source: Path, redacted: Path) -> Flicker:
    """The flicker of one redacted video."""
    return flicker(states(source, redacted))
