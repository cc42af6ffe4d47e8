"""``farm submit``: redacts videos."""

import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from farm.cli.submit_options import GroupedHelp, error_text, job_options, with_job_options
from farm.errors import FarmError, OutputError, SettingsError
from farm.settings import Settings, load_settings

if TYPE_CHECKING:
    from farm.cli.attach import FarmAtHand
    from farm.jobs.placing import Prepared


@dataclass(frozen=True, slots=True)
class How:
    """How a command runs its jobs and reports on them. ``pictures``: frames become pictures, not a video."""

    overwrite: bool = False
    detach: bool = False
    as_json: bool = False
    pictures: bool = False


def _option(group: str, say: str, *names: str, default: object = None, metavar: str | None = None) -> Any:  # noqa: ANN401 - Typer's own type
    return typer.Option(default, *names, help=say, metavar=metavar, rich_help_panel=group)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("submit", cls=GroupedHelp)
    @with_job_options
    def submit(
        videos: list[Path] = typer.Argument(metavar="VIDEO", help="The videos. They are never changed."),
        output: Path | None = _option(
            "Output", "The redacted video, or a folder. Default: beside the source.", "--output", "-o"
        ),
        overwrite: bool = _option("Output", "Replace the output if it exists.", "--overwrite", default=False),
        frames: Path | None = _option(
            "Output", "Write the frames as pictures into this new folder, and no video.", metavar="FOLDER"
        ),
        detach: bool = _option("Running", "Leave the job to a running farm and return.", "--detach", default=False),
        as_json: bool = _option("Running", "Print facts as JSON, one line a job.", "--json", default=False),
        devices: str | None = _option(
            "Running", "For an embedded farm: auto, cpu:N or cuda:0,cuda:1. Default: auto.", metavar="DEVICES"
        ),
        chunk_seconds: float | None = _option(
            "Running", "Length of a chunk. Default: fitted to the workers.", metavar="SECONDS"
        ),
        **options: object,
    ) -> None:
        """Redact every face in VIDEO and write the result beside it (or to -o)."""
        options |= {"devices": devices, "chunk_seconds": chunk_seconds}
        settings = load_settings(**{k: v for k, v in options.items() if v is not None})
        if frames is not None and output is not None:
            raise SettingsError("--frames and -o: one of them", hint="frames are pictures in a folder, not a video")
        if frames is None and options["frames_as"] is not None:
            raise SettingsError("--frames-as goes with --frames", hint="name the folder: --frames FOLDER")
        how = How(overwrite, detach, as_json, pictures=frames is not None)
        run_submit(settings, videos, output if frames is None else frames, how)


def run_submit(settings: Settings, videos: list[Path], output: Path | None, how: How) -> list[Path]:
    """Submit the videos one after the other. An error does not stop the others; the first one sets the exit code.

    Returns the paths of the outputs.
    """
    from farm.cli.attach import FarmAtHand
    from farm.cli.model_progress import model_digest
    from farm.jobs.placing import Request, prepare, usable_encoders
    from farm.local.farm import is_running
    from farm.media.reading.limits import Limits

    asked, length = job_options(settings, pictures=how.pictures), settings.chunk_seconds
    if len(videos) > 1 and how.pictures:
        raise OutputError(f"{output}: one folder for the frames of {len(videos)} videos", hint="submit one at a time")
    if len(videos) > 1 and output is not None and not output.is_dir():
        raise OutputError(f"{output} is not a folder", hint="several videos need an existing folder after -o")
    limits = Limits(settings.max_pixels, settings.max_hours * 3600)
    encoders = usable_encoders(settings, asked.redact.encoder, running=settings.embedded and is_running(settings))
    ready: list[Prepared] = []
    failed: list[FarmError] = []

    def note(error: FarmError) -> None:
        failed.append(error)
        if len(videos) > 1:
            print(f"error: {error_text(error)}", file=sys.stderr)

    for video in videos:  # probe all before the first job starts
        try:
            prepared = prepare(Request(video, output, how.overwrite, asked, length, limits), encoders)
            if any(other.output == prepared.output for other in ready):
                raise OutputError(f"{video}: {prepared.output} is another video's output", hint="submit one at a time")
            ready.append(prepared)
        except FarmError as e:
            note(e)
    if ready:
        model = model_digest(settings, asked.detect, quiet=how.as_json)
        with closing(FarmAtHand(settings, start=not how.detach)) as farm:
            for prepared in ready:
                try:
                    _one(farm, settings, prepared, model, how)
                except FarmError as e:
                    note(e)
    if failed:
        raise typer.Exit(failed[0].exit_code) if len(videos) > 1 else failed[0]
    return [prepared.output for prepared in ready]


def _one(farm: "FarmAtHand", settings: Settings, prepared: "Prepared", model: str, how: How) -> None:
    from farm.cli import display
    from farm.jobs.queries import job_facts
    from farm.jobs.submit import submit
    from farm.local.farm import is_running, missing_part

    began = time.monotonic()
    submitted = submit(farm.context, prepared, model, farm.workers())
    say = not how.as_json
    if how.detach:
        facts = job_facts(farm.context, submitted.job)
        if how.as_json:
            display.print_json(facts.row())
        else:
            display.output.print(f"job {submitted.job}: farm watch {submitted.job}", soft_wrap=True)
        if settings.embedded and not is_running(settings):
            display.errors.print("no farm is running here: the job begins with `farm up`", soft_wrap=True)
        elif missing := missing_part(farm.context):
            display.errors.print(missing, soft_wrap=True)
        return
    if say and submitted.resumed:
        display.errors.print(f"job {submitted.job} goes on where it stopped")
    try:
        facts = display.Watcher(farm.context, submitted.job, farm.tend, quiet=how.as_json).follow()
    except KeyboardInterrupt:
        display.errors.print(interrupted(farm, submitted.job), soft_wrap=True)
        raise
    if how.as_json:
        display.print_json({**facts.row(), "wall_seconds": round(time.monotonic() - began, 3)})
    display.check_done(facts)
    if say:
        display.output.print(display.summary(facts, time.monotonic() - began), soft_wrap=True)


def interrupted(farm: "FarmAtHand", job: str) -> str:
    """What Ctrl-C does to a job. An embedded farm stops with its command."""
    from farm.local.farm import missing_part

    if farm.own:
        return f"stopped. Finished chunks are kept: run the same command again to resume job {job}"
    if missing := missing_part(farm.context):
        return f"no longer watched. Job {job} waits ({missing}): farm watch {job}, or farm cancel {job}"
    return f"no longer watched. The running farm goes on with job {job}: farm watch {job}, or farm cancel {job}"
