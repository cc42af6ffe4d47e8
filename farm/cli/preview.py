"""``farm preview``: shows in pictures what a job covers, or what one would cover."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from farm.cli.commands import FarmCommand, job_ids
from farm.cli.submit import DEVICES, option, submit_for_review
from farm.cli.submit_options import naming_origins, with_job_options
from farm.errors import OutputError, SettingsError

if TYPE_CHECKING:
    from farm.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("preview", cls=FarmCommand)
    @with_job_options
    def preview(
        what: str = typer.Argument(
            metavar="JOB|VIDEO", autocompletion=job_ids, help="A job, or a video that is examined first."
        ),
        output: Path | None = option(
            "Output",
            "A .png or .html file. Default: JOB.preview.html in this folder.",
            "--output",
            "-o",
            metavar="FILE",
        ),
        overwrite: bool = option(
            "Output",
            "Replace an existing preview, and a video's output once it is approved.",
            "--overwrite",
            default=False,
        ),
        devices: str | None = DEVICES,
        **options: object,
    ) -> None:
        """Show what is covered in pictures: tracks, frames with boxes, and when anything is covered.

        Of a video: its faces are looked for, as `farm submit --review` does; nothing is redacted before `farm approve`.
        The file shows faces that are not redacted: keep it as you keep the source.
        """
        from farm.settings import load_settings

        given = {name: value for name, value in {**options, "devices": devices}.items() if value is not None}
        run_preview(load_settings(**given), what, output, overwrite=overwrite, options=bool(given))


def run_preview(settings: "Settings", what: str, output: Path | None, *, overwrite: bool, options: bool) -> None:
    """Preview a job, or submit a video first. ``options``: whether any option of a job was given."""
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.preview.collect import collect
    from farm.preview.write import check_place, default_path, write

    video = Path(what).expanduser()
    is_video = video.exists() or bool(video.suffix) or video.name != what
    if not is_video and options:
        raise SettingsError(f"job {what} has its options already", hint="give options with a video, or leave them out")
    if video.is_dir():
        raise SettingsError(f"{video} is a folder", hint="preview one video, or a job of one")
    if output is not None:
        check_place(output, overwrite=overwrite)  # a video takes long
    job = _submitted(settings, video, overwrite=overwrite) if is_video else what
    context = open_context(settings)
    path = default_path(context, job) if output is None else output
    write(path, lambda: collect(context, job), overwrite=overwrite)
    display.output.print(str(path), soft_wrap=True, markup=False)


@naming_origins
def _submitted(settings: "Settings", video: Path, *, overwrite: bool) -> str:
    """The job of a video that waits for a person."""
    try:
        return submit_for_review(settings, video, overwrite=overwrite)
    except OutputError as e:  # of the video that the job would write, not of the preview
        raise OutputError(e.message, hint=f"farm submit {video} --review -o PATH, then farm preview JOB") from e
