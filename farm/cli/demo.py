"""``farm demo``: redacts a generated clip and shows the result."""

from pathlib import Path
from typing import Annotated

import typer

from farm.cli.commands import named_path
from farm.cli.sources import How
from farm.cli.submit import run_submit
from farm.errors import SourceError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    video: Annotated[
        Path | None, typer.Argument(metavar="[VIDEO]", parser=named_path, help="A video. Default: a generated clip.")
    ] = None,
    folder: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the results.")] = Path(
        "demo"
    ),
) -> None:
    """Redact a short clip and make a picture of frames before and after."""
    from farm.cli.display import output
    from farm.demo.clip import PHOTOGRAPH, render_demo_clip
    from farm.demo.sheet import contact_sheet
    from farm.media.failing import writing
    from farm.models.store import ModelStore
    from farm.settings import load_settings

    settings, source = load_settings(), video
    if source is not None and source.is_dir():
        raise SourceError(f"{source}: is a directory", hint="name one video")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if source is None:
        picture = ModelStore(settings, models={PHOTOGRAPH.name: PHOTOGRAPH}).ensure(PHOTOGRAPH.name)
        source = folder / "astronaut.mp4"
        with writing(source):
            render_demo_clip(source, picture)
    (redacted,) = run_submit(settings, [source], str(folder), How(overwrite=True))
    sheet = contact_sheet(source, redacted, folder / f"{source.stem}.sheet.png")
    output.print(f"source:  {source}", soft_wrap=True)
    output.print(f"result:  {redacted}", soft_wrap=True)
    output.print(f"before above, after below: {sheet}", soft_wrap=True)
