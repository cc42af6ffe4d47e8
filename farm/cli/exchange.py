"""Commands that exchange masks with other programs: write them to files, and take them from files."""

from pathlib import Path
from typing import Annotated

import typer

from farm.cli import edits
from farm.cli.edits import AuthorOption, FromOption, ReasonOption, ToOption
from farm.cli.jobs import JobArgument
from farm.processes import who

#: The names of :data:`farm.exchange.formats.FORMATS`, which `farm --help` does not wait for.
FORMATS = ("json", "csv", "coco", "mot", "cvat", "labelstudio")


def register(top: typer.Typer) -> None:
    """Add the commands to ``top``, and to ``farm edit``."""
    top.command("detections")(detections)
    edits.app.command("import")(import_file)
    edits.app.command("--import", hidden=True)(import_file)  # as an option is written
    edits.app.command("only-in")(only_in)


def detections(
    job: JobArgument,
    form: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", autocompletion=lambda: list(FORMATS), help=f"{', '.join(FORMATS)}."),
    ] = "json",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: JOB.FORMAT and a suffix, here."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Write what a job covers to a file: boxes in pixels of the picture as shown, for every frame.

    Beside formats that carry no times goes a table of frames, FILE.frames.csv.
    """
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.exchanging import export_masks
    from farm.settings import load_settings

    paths, lost = export_masks(open_context(load_settings()), job, form, output, overwrite=overwrite)
    for path in paths:
        display.output.print(str(path), soft_wrap=True, markup=False)
    if lost:
        display.errors.print(f"warning: {lost}", soft_wrap=True)


def import_file(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="From `farm detections`, or from another program.")],
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help=f"{', '.join(FORMATS)}. Default: by the file's name."),
    ] = None,
    reason: ReasonOption = "",
    author: AuthorOption = None,
) -> None:
    """Cover what a file says, and nothing else: earlier edits have no effect any more, later ones do."""
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.exchanging import import_masks
    from farm.settings import load_settings

    context = open_context(load_settings())
    job, added, said = import_masks(context, str(ctx.obj), file, form, author or who(), reason)
    edits.tell(context, job, added)
    display.tell(said)


def only_in(
    ctx: typer.Context,
    box: Annotated[str, typer.Option("--box", metavar="X,Y,W,H", help="On the picture as shown: pixels, or per cent.")],
    begins: FromOption = None,
    ends: ToOption = None,
    reason: ReasonOption = "",
    author: AuthorOption = None,
) -> None:
    """Cover nothing that lies wholly outside a box; with several such edits, outside all of their boxes."""
    edits.append(ctx, author, reason, lambda marker: [marker.only(box, (begins, ends))])
