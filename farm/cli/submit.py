"""``farm submit``: videos in, redacted videos out."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from farm.cli import submit_options as options
from farm.cli.grouped_help import GroupedHelp
from farm.cli.job_options import chunk_seconds, job_options
from farm.errors import FarmError, OutputError, SettingsError
from farm.settings import Settings, load_settings

if TYPE_CHECKING:
    from farm.jobs.placing import Prepared


@dataclass(frozen=True, slots=True)
class How:
    """How a command shows and runs what it submits."""

    overwrite: bool = False
    detach: bool = False
    as_json: bool = False
    pictures: bool = False


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("submit", cls=GroupedHelp)
    def submit(
        videos: options.SourceArgument,
        start: options.StartOption = None,
        end: options.EndOption = None,
        fps: options.FpsOption = None,
        every: options.EveryOption = None,
        audio: options.AudioOption = None,
        metadata: options.MetadataOption = None,
        on_undetectable: options.UndetectableOption = None,
        style: options.StyleOption = None,
        shape: options.ShapeOption = None,
        margin: options.MarginOption = None,
        detect_size: options.SizeOption = None,
        threshold: options.ThresholdOption = None,
        gap: options.GapOption = None,
        hold: options.HoldOption = None,
        model: options.ModelOption = None,
        codec: options.CodecOption = None,
        encoder: options.EncoderOption = None,
        crf: options.CrfOption = None,
        preset: options.PresetOption = None,
        scale: options.ScaleOption = None,
        output: options.OutputOption = None,
        overwrite: options.OverwriteOption = False,
        frames: options.FramesOption = None,
        frames_as: options.FramesAsOption = None,
        detach: options.DetachOption = False,
        as_json: options.JsonOption = False,
        devices: options.DevicesOption = None,
        chunk: options.ChunkOption = None,
    ) -> None:
        """Redact every face in VIDEO and write the result beside it (or to -o)."""
        given = {
            "devices": devices, "style": style, "shape": shape, "margin": margin, "detect_size": detect_size,
            "threshold": threshold, "gap": gap, "hold": hold, "crf": crf, "preset": preset, "codec": codec,
            "encoder": encoder, "scale": scale, "start": start, "end": end, "fps": fps, "every": every,
            "on_undetectable": on_undetectable, "metadata": metadata, "audio": audio, "frames_as": frames_as,
            "model": model, "chunk_seconds": chunk,
        }  # fmt: skip
        settings = load_settings(**{k: v for k, v in given.items() if v is not None})
        if frames is not None and output is not None:
            raise SettingsError("--frames and -o: one of them", hint="frames are pictures in a folder, not a video")
        if frames is None and frames_as is not None:
            raise SettingsError("--frames-as goes with --frames", hint="name the folder: --frames FOLDER")
        how = How(overwrite, detach, as_json, pictures=frames is not None)
        run_submit(settings, videos, output if frames is None else frames, how)


def run_submit(settings: Settings, videos: list[Path], output: Path | None, how: How) -> list[Path]:
    """Submit all videos, one after the other; the first error decides the exit code, the others still run.

    Returns the outputs' paths.
    """
    from farm.cli.attach import FarmAtHand  # noqa: PLC0415 - `farm --help` should not wait for it
    from farm.cli.model_progress import model_digest  # noqa: PLC0415
    from farm.jobs.placing import Request, prepare, usable_encoders  # noqa: PLC0415
    from farm.local.farm import is_running  # noqa: PLC0415
    from farm.media.reading.limits import Limits  # noqa: PLC0415

    asked, length = job_options(settings, pictures=how.pictures), chunk_seconds(settings)
    if len(videos) > 1 and how.pictures:
        raise OutputError(f"{output}: one folder for the frames of {len(videos)} videos", hint="submit one at a time")
    if len(videos) > 1 and output is not None and not output.is_dir():
        raise OutputError(f"{output} is not a folder", hint="several videos need an existing folder after -o")
    limits = Limits(settings.max_pixels, settings.max_hours * 3600)
    encoders = usable_encoders(settings, asked.redact.encoder, running=settings.embedded and is_running(settings))
    ready: list[Prepared] = []
    first = None
    for video in videos:  # all are probed before the first is begun
        try:
            prepared = prepare(Request(video, output, how.overwrite, asked, length, limits), encoders)
            if any(other.output == prepared.output for other in ready):
                raise OutputError(f"{video}: {prepared.output} is another video's output", hint="submit one at a time")
            ready.append(prepared)
        except FarmError as e:
            first = first or e
            if len(videos) > 1:
                print(f"error: {e}", file=sys.stderr)
    if ready:
        model = model_digest(settings, asked.detect.model, quiet=how.as_json)
        with FarmAtHand(settings, start=not how.detach) as farm:
            for prepared in ready:
                try:
                    _one(farm, settings, prepared, model, how)
                except FarmError as e:
                    first = first or e
                    if len(videos) > 1:
                        print(f"error: {e}", file=sys.stderr)
    if first is not None:
        if len(videos) > 1:
            raise typer.Exit(first.exit_code)
        raise first
    return [prepared.output for prepared in ready]


def _one(farm: Any, settings: Settings, prepared: "Prepared", model: str, how: How) -> None:  # noqa: ANN401 - imported late
    from farm.cli import display  # noqa: PLC0415 - `farm --help` should not wait for it
    from farm.jobs.queries import job_facts, live_workers  # noqa: PLC0415
    from farm.jobs.submit import submit  # noqa: PLC0415
    from farm.local.farm import is_running  # noqa: PLC0415

    began = time.monotonic()
    workers = live_workers(farm.context) or expected_workers(settings.devices)
    submitted = submit(farm.context, prepared, model, workers)
    say = not how.as_json
    if how.detach:
        facts = job_facts(farm.context, submitted.job)
        if how.as_json:
            display.print_json_line(json.dumps(facts.row()))
        else:
            display.output.print(f"job {submitted.job}: farm watch {submitted.job}", soft_wrap=True)
        if settings.embedded and not is_running(settings):
            display.errors.print("no farm is running here: the job begins with `farm up`", soft_wrap=True)
        return
    if say and submitted.resumed:
        display.errors.print(f"job {submitted.job} goes on where it stopped")
    try:
        facts = display.Watcher(farm.context, submitted.job, farm.tend, quiet=how.as_json).follow()
    except KeyboardInterrupt:
        display.errors.print(interrupted(submitted.job, stops=farm.own), soft_wrap=True)
        raise
    if how.as_json:
        display.print_json_line(json.dumps({**facts.row(), "wall_seconds": round(time.monotonic() - began, 3)}))
    display.check_done(facts)
    if say:
        display.output.print(display.summary(facts, time.monotonic() - began), soft_wrap=True)


def interrupted(job: str, *, stops: bool) -> str:
    """What Ctrl-C means for a job. ``stops``: the farm ends with the command; one that runs by itself goes on."""
    if stops:
        return f"stopped. Finished chunks are kept: the same command goes on with job {job}"
    return f"no longer watched. The running farm goes on with job {job}: farm watch {job}, or farm cancel {job}"


def expected_workers(devices: str) -> int:
    """How many workers a farm will have that has none yet: what the number of chunks is fitted to."""
    import psutil  # noqa: PLC0415 - needed here only

    first = devices.split(",")
    if devices.startswith("cpu:") and devices[4:].isdigit():
        return max(1, int(devices[4:]))
    if devices.startswith("cuda"):
        return len(first)
    return psutil.cpu_count(logical=False) or 1
