"""``farm submit``: redacts videos."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from farm.cli.commands import FarmCommand, named_path
from farm.cli.exchange import FORMATS
from farm.cli.sources import How, Video, named
from farm.cli.submit_options import naming_origins, with_job_options
from farm.domain.regions import Asked
from farm.errors import OutputError, SettingsError, SourceError
from farm.processes import who

if TYPE_CHECKING:
    from farm.cli.batch import Batch
    from farm.jobs.placing import Prepared
    from farm.settings import Settings


def option(group: str, say: str, *names: str, default: object = None, metavar: str | None = None) -> Any:  # noqa: ANN401 - Typer's own type
    """An option of a command that has the options of jobs, in one of their groups."""
    return typer.Option(default, *names, help=say, metavar=metavar, rich_help_panel=group)


DEVICES = option(
    "Running", "What to compute on: auto, cpu:N (cores) or cuda:0,cuda:1 (GPUs). Default: auto.", metavar="DEVICES"
)
CHUNK_SECONDS = option(
    "Running",
    "Length of the chunks that workers process, such as 10s. Default: chosen for the workers.",
    metavar="TIME",
)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("submit", cls=FarmCommand)
    @with_job_options
    def submit(
        videos: list[Path] = typer.Argument(
            metavar="VIDEO", parser=named_path, help="The videos to redact, or folders of them; they are never changed."
        ),
        output: str | None = option(
            "Output",
            "Where the result goes: a file, or a folder (NAME/ creates it). Default: beside the video.",
            "--output",
            "-o",
            metavar="PATH",
        ),
        recursive: bool = option("Source", "Also search folders inside folders.", "--recursive", "-r", default=False),
        cover: list[str] = option(
            "Faces",
            'Always cover this region: a box, or a polygon "x,y x,y x,y"; @FROM-TO for a part of the time.',
            "--cover",
            default=[],
            metavar="X,Y,W,H",
        ),
        ignore: list[str] = option(
            "Faces", "Cover nothing that lies wholly inside this region.", "--ignore", default=[], metavar="X,Y,W,H"
        ),
        only_in: list[str] = option(
            "Faces",
            "Cover nothing that lies wholly outside this region, or all such.",
            "--only-in",
            default=[],
            metavar="X,Y,W,H",
        ),
        detections: Path | None = option(
            "Faces", "Look for no faces: cover what this file says, see `farm detections`.", metavar="FILE"
        ),
        detections_format: str | None = option(
            "Faces", f"{', '.join(FORMATS)}. Default: by the file's name.", metavar="FORMAT"
        ),
        overwrite: bool = option("Output", "Replace an existing output.", "--overwrite", default=False),
        frames: Path | None = option(
            "Output", "Write pictures of all frames to this new folder, not a video.", metavar="FOLDER"
        ),
        detach: bool = option("Running", "Hand the job to a running farm and return.", "--detach", default=False),
        review: bool = option(
            "Running", "Stop before anything is redacted, until `farm approve`.", "--review", default=False
        ),
        audit: bool = option(
            "Running", "Look for faces in the output before it is published.", "--audit", default=False
        ),
        strict: bool = option("Running", "The same, and publish nothing that shows a face.", "--strict", default=False),
        debug: bool = option(
            "Output",
            "Draw boxes, scores, track numbers and times, and cover nothing: the output shows faces.",
            "--debug",
            default=False,
        ),
        keep: list[Path] | None = option(
            "Faces", "Cover everyone but the person on this photo; may be repeated.", "--keep", metavar="PHOTO"
        ),
        only: list[Path] | None = option(
            "Faces", "Cover only the person on this photo; may be repeated.", "--only", metavar="PHOTO"
        ),
        as_json: bool = option("Running", "Print the result as JSON, one line per job.", "--json", default=False),
        devices: str | None = DEVICES,
        chunk_seconds: str | None = CHUNK_SECONDS,
        **options: object,
    ) -> None:
        """Make the faces in videos unrecognisable."""
        from farm.settings import load_settings

        options |= {"devices": devices, "chunk_seconds": chunk_seconds}
        settings = load_settings(**{k: v for k, v in options.items() if v is not None})
        if frames is not None and output is not None:
            raise SettingsError("--frames and -o cannot be combined", hint="--frames names a folder of its own")
        if frames is None and options["frames_as"] is not None:
            raise SettingsError("--frames-as needs --frames", hint="add --frames FOLDER")
        if debug and (frames is not None or audit or strict):
            hint = "leave --frames, --audit and --strict out"
            raise SettingsError("--debug makes a video that shows all faces", hint=hint)
        if detections_format is not None and detections is None:
            raise SettingsError("--detections-format needs --detections", hint="add --detections FILE")
        edits = Asked(tuple(cover), tuple(ignore), tuple(only_in), detections, detections_format, who())
        how = How(
            overwrite, detach, as_json, pictures=frames is not None, recursive=recursive, review=review,
            audit=audit or strict, strict=strict, debug=debug, edits=edits, keep=tuple(keep or ()),
            only=tuple(only or ()),
        )  # fmt: skip
        run_submit(settings, videos, output if frames is None else str(frames), how)


@naming_origins
def run_submit(settings: "Settings", videos: list[Path], output: str | None, how: How) -> list[Path]:
    """Submit the videos, and those in folders, one after the other. Returns the paths of the outputs.

    An error of one does not stop the others: the first one sets the exit code. With one video it is raised.
    """
    with _batch(settings, videos, output, how) as batch:
        return batch.run()


def submit_for_review(settings: "Settings", video: Path, *, overwrite: bool) -> str:
    """Submit a video that waits for a person, and follow it until it does. Returns the job's id."""
    with _batch(settings, [video], None, How(overwrite, review=True)) as batch:
        batch.run()
    return batch.jobs[0]


@contextmanager
def _batch(settings: "Settings", videos: list[Path], output: str | None, how: How) -> Iterator["Batch"]:
    """The videos of a command, once all is checked that does not depend on one of them, and the farm for them.

    An embedded farm is started before what this command itself needs is imported: its processes start meanwhile.
    """
    from farm.jobs.asked import job_options
    from farm.jobs.machine import Machine
    from farm.local.home import is_running

    asked = job_options(settings, pictures=how.pictures, debug=how.debug)
    found = named(videos, output, recursive=how.recursive)
    if len(found.videos) > 1 and how.pictures:
        count = len(found.videos)
        raise OutputError(f"{output}: cannot hold the frames of {count} videos", hint="submit one at a time")
    if not any(video.source.exists() for video in found.videos):  # no farm is started for a misspelt name
        raise SourceError(f"{found.videos[0].name}: there is no such file", hint="check the name")
    starts = settings.embedded and not how.detach and not is_running(settings)
    with ExitStack() as stack:
        # it answers while the database's modules are imported
        machine = stack.enter_context(closing(Machine(settings))) if starts else None
        from farm.local.attach import FarmAtHand

        farm = FarmAtHand(settings, _tell, start=not how.detach, job=asked, machine=machine)
        stack.enter_context(closing(farm))
        from farm.cli.batch import Batch
        from farm.cli.model_progress import fetcher
        from farm.local.asking import check_options

        fetch = fetcher(settings, quiet=how.as_json)
        checked = check_options(
            settings, asked, fetch, farm.abilities(), keep=how.keep, only=how.only,
            masks_given=how.edits.detections is not None,
        )  # fmt: skip
        tell: Callable[[str], None] = (lambda _: None) if how.as_json else _tell

        def prepared(video: Video) -> "Prepared":
            return checked.prepare(
                video.source, video.output, overwrite=how.overwrite, folder=found.folder and not how.pictures,
                review=how.review, audit=how.audit, strict=how.strict, edits=how.edits, tell=tell,
            )  # fmt: skip

        yield Batch(settings, how, checked.options, found, prepared, farm)


def _tell(line: str) -> None:
    from farm.cli import display

    display.tell(line)
