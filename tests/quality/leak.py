"""Part ``leak``: how many faces a redacted copy still shows, by setting. Pixels only: all tools are judged alike."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path

from tests.conftest import PROJECT
from tests.quality.clips import Clip, new_clips, truth_clips
from tests.quality.curve import Point, curve
from tests.quality.footage import Skipped, footage_folder, needed
from tests.quality.options import Options
from tests.quality.report import Section, table
from tests.quality.running import Redacted, RefusedError, redact
from tests.quality.settings import DEFACE, Setting, settings_of
from tests.quality.sizes import CLASSES

#: A stronger setting may cover this many points of a size class less: noise.
_NOISE = 0.2
#: By the last word of a preset's setting: the share of what ``deface`` leaks that it may leak, and the per cent of the
#: picture that it may change outside.
_LIMITS: dict[tuple[str, ...], tuple[float, float]] = {("balanced",): (1 / 3, 3.0), ("thorough",): (1 / 5, 5.0)}
_PICTURE = "leak-speed.svg"


@dataclass(frozen=True, slots=True)
class Leak:
    """What a redacted copy of a clip shows: of ``seen`` face-frames by class, how many ``leaked``.

    ``ever``: of all faces, the share with any leak; ``longest``: exposed frames in a row; ``outside``: per cent of the
    picture away from any face that was changed, and ``psnr`` of the rest in dB.
    """

    seen: Mapping[str, int]
    leaked: Mapping[str, int]
    faces: int
    ever: float
    longest: int
    outside: float
    psnr: float

    def share(self, *classes: str) -> float:
        """Leaked per cent of the face-frames of some classes; of all without any."""
        chosen = classes or tuple(self.seen)
        return 100 * sum(self.leaked[c] for c in chosen) / max(1, sum(self.seen[c] for c in chosen))


@dataclass(frozen=True, slots=True)
class Result:
    """A setting on a clip."""

    setting: Setting
    clip: str
    leak: Leak
    made: Redacted


def measure(options: Options) -> Section:
    """A table for each clip, the curve, and what a stronger setting covers less."""
    needed(footage_folder().parent / "tools" / "leakcheck.py")
    clips = [*truth_clips(), *new_clips(options.work)]
    results, refused = sweep(settings_of(options), clips[: options.limit or None], options.work)
    if not results:
        raise Skipped(f"no setting could be run: {'; '.join(refused)}")
    names = list(dict.fromkeys(r.clip for r in results))
    blocks = [f"**{n}**\n\n" + table(rows([r for r in results if r.clip == n])) for n in names]
    if len(names) > 1:
        together = [combined(ours) for s in settings_of(options) if (ours := [r for r in results if r.setting == s])]
        blocks.insert(0, "**All clips together**\n\n" + table(rows(together)))
        if not options.limit:
            blocks.insert(0, picture(together))
    fallen = falls(results)
    blocks.append(
        "A larger `--detect-size` or a better preset may not cover less, in any size class of any clip "
        f"({_NOISE} points are noise). Compared here: {', '.join(series_of(results)) or 'none'}. "
        + ("Those that do:\n\n" + "\n".join(f"- {f}" for f in fallen) if fallen else "None does.")
    )
    blocks += [f"Not measured: {line}" for line in refused]
    ran = (
        "Clips of a camera that moves over annotated pictures: "
        + ", ".join(f"{n} ({seen_in(results, n)} face-frames)" for n in names)
        + ". Those that begin with `new` show pictures that the others do not. A face leaks where the fine structure "
        "inside its box survived (`leakcheck.py`); *outside* means away from any true face. Core-milliseconds are CPU "
        "time a frame as workers report it, of the detect stage and of all stages; for `deface` that of its process."
    )
    return Section("leak", "Faces left visible", ran, blocks, [*fallen, *no_better(results)])


def sweep(settings: Sequence[Setting], clips: Sequence[Clip], work: Path) -> tuple[list[Result], list[str]]:
    """Every setting on every clip; and a line for each setting that does not apply here."""
    results, refused = [], []
    for setting in settings:
        for clip in clips:
            try:
                made = redact(setting, clip.path, work)
            except RefusedError as reason:
                refused.append(f"`{setting.name}`: {reason}")
                break
            results.append(Result(setting, clip.name, leak_of(clip, made.path), made))
            print(f"{setting.name}, {clip.name}: {results[-1].leak.share():.2f} %", file=sys.stderr, flush=True)
    return results, refused


def leak_of(clip: Clip, redacted: Path) -> Leak:
    """Judge a redacted copy by its pixels."""
    check = footage_folder().parent / "tools" / "leakcheck.py"
    command = [sys.executable, check, clip.path, redacted, clip.truth, "--json"]
    done = subprocess.run([str(w) for w in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"{redacted} cannot be judged: {done.stdout.strip()}")
    row = json.loads(done.stdout)
    seen = {c: int(row["by_size"][c][0]) for c in CLASSES}
    leaked = {c: round(row["by_size"][c][1] * seen[c] / 100) for c in CLASSES}
    return Leak(
        seen, leaked, row["faces"], row["faces_leaked_pct"], row["longest_exposed_frames"],
        row["outside_changed_pct"], row["outside_psnr"],
    )  # fmt: skip


def combined(results: Sequence[Result]) -> Result:
    """One setting over several clips: sums of face-frames and faces, means of the rest by frames, the longest run."""
    frames = sum(r.made.frames for r in results)
    faces = sum(r.leak.faces for r in results)

    def mean(values: Sequence[float]) -> float:
        return sum(v * r.made.frames for v, r in zip(values, results, strict=True)) / max(1, frames)

    leak = Leak(
        {c: sum(r.leak.seen[c] for r in results) for c in CLASSES},
        {c: sum(r.leak.leaked[c] for r in results) for c in CLASSES},
        faces,
        sum(r.leak.ever * r.leak.faces for r in results) / max(1, faces),
        max(r.leak.longest for r in results),
        mean([r.leak.outside for r in results]),
        mean([r.leak.psnr for r in results]),
    )
    told = [r.made.detect for r in results if r.made.detect is not None]
    made = Redacted(
        results[0].made.path, frames, mean([r.made.whole for r in results]),
        mean(told) if len(told) == len(results) else None,
    )  # fmt: skip
    return Result(results[0].setting, "all", leak, made)


def rows(results: Sequence[Result]) -> list[list[str]]:
    """A row for each result, in the form of docs/benchmarks.md."""
    head = [
        "", "leaked %", *(f"{c.replace('-', '–')} px" for c in CLASSES), "faces ever leaked %",
        "longest exposed, frames", "outside changed %", "outside PSNR, dB", "detect, core-ms", "all, core-ms",
    ]  # fmt: skip
    made = [head]
    for r in results:
        leak = r.leak
        shares = [leak.share(), *(leak.share(c) for c in CLASSES), leak.ever]
        made.append([
            f"`{r.setting.name}`", *(f"{s:.2f}" for s in shares), str(leak.longest), f"{leak.outside:.3f}",
            f"{leak.psnr:.2f}", "" if r.made.detect is None else f"{r.made.detect:.1f}", f"{r.made.whole:.1f}",
        ])  # fmt: skip
    return made


def seen_in(results: Sequence[Result], clip: str) -> int:
    """The number of face-frames of a clip."""
    return next(sum(r.leak.seen.values()) for r in results if r.clip == clip)


def series_of(results: Sequence[Result]) -> list[str]:
    """The names of the series of settings that were measured."""
    return list(dict.fromkeys(r.setting.series for r in results if r.setting.series))


def falls(results: Sequence[Result]) -> list[str]:
    """Where a stronger setting of a series covers a smaller share of a size class than the one before it."""
    found = []
    for series in series_of(results):
        for clip in dict.fromkeys(r.clip for r in results):
            ordered = [r for r in results if r.setting.series == series and r.clip == clip]
            for weak, strong in pairwise(ordered):
                for c in CLASSES:
                    more = strong.leak.share(c) - weak.leak.share(c)
                    if more > _NOISE:
                        found.append(
                            f"{clip}, {c} px: `{strong.setting.name}` leaks {more:.2f} points more than "
                            f"`{weak.setting.name}`"
                        )
    return found


def no_better(results: Sequence[Result]) -> list[str]:
    """Where a preset leaks as much as ``deface`` with its defaults, or more than its share of that, or changes more
    outside than it may.
    """
    rival = {r.clip: r.leak.share() for r in results if r.setting == DEFACE}
    presets = [r for r in results if r.setting.series == "preset" and r.clip in rival]
    found = []
    for r in presets:
        leaked, said = r.leak.share(), f"{r.clip}: `{r.setting.name}`"
        share, outside = _LIMITS.get(r.setting.words[-1:], (1.0, inf))
        if leaked >= share * rival[r.clip]:
            of = f"a {1 / share:.0f}th of " if share < 1 else ""
            found.append(f"{said} leaks {leaked:.2f} %, {of}`deface` {share * rival[r.clip]:.2f} %")
        if r.leak.outside > outside:
            found.append(f"{said} changes {r.leak.outside:.2f} % outside, not {outside:g} %")
    return found


def picture(results: Sequence[Result]) -> str:
    """Draw leak against speed into docs/images; the line that shows it."""
    points = [
        Point(
            r.setting.name.removeprefix("farm submit "), r.made.detect, r.leak.share(), r.leak.outside, r.setting.series
        )
        for r in results
    ]
    (PROJECT / "docs" / "images" / _PICTURE).write_text(curve(points), encoding="utf-8")
    return f"![Leaked faces against the cost of detection](images/{_PICTURE})"
