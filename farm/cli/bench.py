"""``farm bench``: measures what the stages cost on this machine, with the user's own video, beside plain ffmpeg."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from farm.cli.commands import FarmCommand, named_path
from farm.cli.submit import CHUNK_SECONDS, DEVICES, option
from farm.cli.submit_options import naming_origins, with_job_options
from farm.domain.stages import STAGES
from farm.errors import FarmError, SettingsError, SourceError

if TYPE_CHECKING:
    from farm.cli.measuring import Run
    from farm.media.reading.probe import Probe
    from farm.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("bench", cls=FarmCommand)
    @with_job_options
    def bench(
        source: Path = typer.Argument(metavar="VIDEO", parser=named_path, help="A video; it is never changed."),
        frames: int | None = option("Source", "Only so many frames.", metavar="N"),
        seconds: str | None = option("Source", "Only this much of it, such as 20s.", metavar="TIME"),
        layouts: bool = option(
            "Running", "Also with 1, 2, 4 and so on CPU workers, up to one for each core.", default=False
        ),
        as_json: bool = option("Running", "Print the result as JSON, in one line.", "--json", default=False),
        devices: str | None = DEVICES,
        chunk_seconds: str | None = CHUNK_SECONDS,
        **options: object,
    ) -> None:
        """Measure what redacting a video costs here: CPU time by step, and speed beside plain ffmpeg's.

        It runs a farm of its own, in a temporary folder, and leaves no output. Measure on an otherwise idle machine.
        """
        from farm.settings import load_settings

        options |= {"devices": devices, "chunk_seconds": chunk_seconds}
        given = {name: value for name, value in options.items() if value is not None}
        run_bench(load_settings(**given), given, source, _Part(frames, seconds), layouts=layouts, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Part:
    """How much of the video is measured, as a person wrote it; None: all of it."""

    frames: int | None
    seconds: str | None

    def options(self, settings: "Settings", probe: "Probe") -> dict[str, str]:
        """The job option that makes a job end there. Raises SettingsError."""
        from farm.domain.time import seconds_of

        if self.frames is None and self.seconds is None:
            return {}
        flag = "--frames" if self.seconds is None else "--seconds"
        if self.frames is not None and self.seconds is not None:
            raise SettingsError("--frames and --seconds cannot be combined", hint="leave one out")
        if getattr(settings, "end", None) is not None:
            raise SettingsError(f"{flag} and {settings.spelled('end')} cannot be combined", hint="leave one out")
        if self.seconds is not None:
            try:
                length = seconds_of(self.seconds)
            except ValueError as e:
                raise SettingsError(f"--seconds: {e}") from e
        else:
            rate = probe.video.average_rate
            if not rate:
                raise SettingsError(f"--frames: {probe.path} has no frame rate", hint="give --seconds")
            length = ((self.frames or 0) - 0.5) / float(rate)  # between the last one and the next
        if length <= 0:
            raise SettingsError(f"{flag}: has to be more than 0")
        return {"end": f"{(getattr(settings, 'start', None) or 0) + length:.6f}"}


@naming_origins
def run_bench(
    settings: "Settings", given: dict[str, Any], video: Path, part: _Part, *, layouts: bool, as_json: bool
) -> None:
    """Measure and print. ``given``: the options of the command line, which ``settings`` hold with all others."""
    from farm.cli import display
    from farm.cli.measuring import measure_ffmpeg, measure_job
    from farm.executables import find_ffmpeg
    from farm.local.home import is_running
    from farm.media.reading.limits import Limits
    from farm.media.reading.probe import probe_source

    def tell(line: str) -> None:
        if not as_json:
            display.errors.print(line, soft_wrap=True, markup=False, highlight=False)

    if "frames_as" in given:
        raise SettingsError("--frames-as: a video is measured, not pictures", hint="leave it out")
    if layouts and not re.fullmatch(r"auto|cpu:\d+", settings.devices):
        raise SettingsError("--layouts measures CPU workers", hint="leave --devices out")
    if video.is_dir():
        raise SourceError(f"{video}: is a directory", hint="name one video")
    if settings.home.exists() and is_running(settings):
        tell("a farm is running here: what it does now slows down what is measured")
    program = find_ffmpeg(settings.ffmpeg).path
    probe = probe_source(video, Limits.of(settings), getattr(settings, "video", None))
    given = {**given, **part.options(settings, probe)}
    tell("measuring the farm")
    job = measure_job(settings, given, video)
    tell(f"measuring ffmpeg with {job.encoder.encoder}")
    try:
        plain, why = measure_ffmpeg(program, probe, job), ""
    except FarmError as e:
        plain, why = None, str(e)
    others = []
    for workers in _counts(_cores()) if layouts else ():
        tell(f"measuring the farm with {workers} worker{'' if workers == 1 else 's'}")
        others.append(measure_job(settings, {**given, "devices": f"cpu:{workers}"}, video).run)
    if as_json:
        display.print_json({
            "video": str(video), "width": probe.video.width, "height": probe.video.height, "codec": probe.video.codec,
            "encoder": job.encoder.encoder, "encoder_options": job.encoder.options, "job": job.run.row(),
            "ffmpeg": plain and plain.row(), "ffmpeg_missing": why or None,
            "share": plain and round(job.run.speed / plain.speed, 4), "layouts": [run.row() for run in others],
        })  # fmt: skip
        return
    size = f"{probe.video.width}x{probe.video.height} {probe.video.codec}"
    print(f"{job.run.frames} frames {size}, encoded with {job.encoder.encoder}")
    for line in (*step_lines(job.run), "", *run_lines(job.run, plain, others), *([why] if why else [])):
        print(line)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _counts(cores: int) -> list[int]:
    """1, 2, 4 and so on, and as many workers as there are cores."""
    return [*(1 << power for power in range(cores.bit_length()) if 1 << power < cores), cores]


def step_lines(run: "Run") -> Iterator[str]:
    """A table of what each step of a job costs, and of how long each stage took."""
    rows = [["stage", "step", "core-ms/frame", "wall s"]]
    rows.append(["starting", "", "", f"{run.starting:.2f}"])
    for stage in STAGES:
        if (wall := run.stages.get(stage.status.value)) is None:
            continue
        steps = run.spent.get(stage.name, {})
        total = f"{run.core_ms(sum(steps.values())):.2f}" if steps else ""
        rows.append([stage.name, "all" if steps else "", total, f"{wall:.2f}"])
        rows += [["", step, f"{run.core_ms(value):.2f}", ""] for step, value in steps.items()]
    rows.append(["stopping", "", "", f"{run.stopping:.2f}"])
    return _table(rows, 2)


def run_lines(job: "Run", plain: "Run | None", others: Sequence["Run"]) -> Iterator[str]:
    """A table of whole runs: speeds with start and end, speeds at work without, and the share of plain ffmpeg's."""
    rows = [["whole run", "frames/s", "of ffmpeg", "at work", "core-ms/frame", "wall s"]]
    farms = [(f"farm, {run.workers} worker{'' if run.workers == 1 else 's'}", run) for run in (job, *others)]
    for name, run in [*farms, *([("ffmpeg", plain)] if plain else [])]:
        share = f"{run.speed / plain.speed:.2f}x" if plain and run is not plain else ""
        at_work = f"{run.at_work:.2f}" if run.workers else ""
        rows.append([name, f"{run.speed:.2f}", share, at_work, f"{run.core_ms(run.cpu):.2f}", f"{run.wall:.2f}"])
    return _table(rows, 1)


def _table(rows: Sequence[Sequence[str]], words: int) -> Iterator[str]:
    """Rows under their heading, of which the first cells are ``words``, and the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = enumerate(zip(row, widths, strict=True))
        yield "  ".join(c.ljust(wide) if at < words else c.rjust(wide) for at, (c, wide) in cells).rstrip()
