"""``farm edit``: what a person says of the masks and the sound of a job."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.jobs import JobArgument, JsonOption
from farm.cli.tables import moment
from farm.domain.edits import OF_SOUND, Action, Edit, effective
from farm.domain.options import SHAPES, STYLES
from farm.domain.printable import shown
from farm.domain.stages import JobStatus
from farm.domain.time import seconds_of
from farm.domain.track import number_in, number_text
from farm.errors import SettingsError
from farm.processes import who

if TYPE_CHECKING:
    from farm.jobs.context import Context
    from farm.jobs.marking import Marker

app = typer.Typer(help="Correct what a job covers, and its sound.", no_args_is_help=True, rich_markup_mode=None)


def _track(text: str) -> int:
    try:
        return number_in(text)
    except ValueError as e:
        raise typer.BadParameter(str(e)) from e


def time_option(text: str) -> float:
    """The parser of options that are times."""
    try:
        return seconds_of(text)
    except ValueError as e:
        raise typer.BadParameter(str(e)) from e


FromOption = Annotated[
    float | None,
    typer.Option("--from", metavar="TIME", parser=time_option, help="From when on. Default: the beginning."),
]
ToOption = Annotated[
    float | None, typer.Option("--to", metavar="TIME", parser=time_option, help="Until when. Default: the end.")
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept with the edit.")]
AuthorOption = Annotated[
    str | None, typer.Option("--author", metavar="NAME", help="Kept with the edit. Default: user and host.")
]
StyleOption = Annotated[str | None, typer.Option(metavar="STYLE", help=f"How it is covered: {', '.join(STYLES)}.")]
ImageOption = Annotated[
    Path | None, typer.Option("--image", metavar="FILE", help="Picture for the style image. Default: the job's.")
]
ShapeOption = Annotated[str | None, typer.Option(metavar="SHAPE", help=f"Shape of the cover: {', '.join(SHAPES)}.")]
MarginOption = Annotated[
    str | None, typer.Option(metavar="SHARE", help="Extra area on each side, as a share of the box: 50%.")
]
TracksArgument = Annotated[
    list[int], typer.Argument(metavar="TRACK...", parser=_track, help="As `farm tracks` numbers them.")
]


def register(top: typer.Typer) -> None:
    """Add the commands to ``top``."""
    top.add_typer(app, name="edit")
    for action, text in (
        (Action.DROP, "Do not cover tracks that are no faces."),
        (Action.KEEP, "Do not cover faces that may be seen."),
        (Action.RESTORE, "Cover tracks again that were dropped or kept."),
    ):
        _add(action, text)


@app.callback()
def edit(ctx: typer.Context, job: JobArgument) -> None:
    """Correct what a job covers, and its sound. Nothing is overwritten: each edit is kept, and can be undone."""
    ctx.obj = job


@app.command("style")
def restyle(
    ctx: typer.Context,
    numbers: TracksArgument,
    style: StyleOption = None,
    image: ImageOption = None,
    shape: ShapeOption = None,
    margin: MarginOption = None,
    begins: FromOption = None,
    ends: ToOption = None,
    reason: ReasonOption = "",
    author: AuthorOption = None,
) -> None:
    """Cover tracks in another way than the job's options say."""

    def make(marker: "Marker") -> list[Edit]:
        override = marker.way(style, shape, margin, image)
        if override is None:
            hint = "add --style, --shape or --margin"
            raise SettingsError("nothing says how the tracks are to be covered", hint=hint)
        return marker.of_tracks(Action.STYLE, numbers, (begins, ends), override)

    append(ctx, author, reason, make)


def _add(action: Action, text: str) -> None:
    @app.command(action.value, help=text)
    def change(
        ctx: typer.Context,
        numbers: TracksArgument,
        begins: FromOption = None,
        ends: ToOption = None,
        reason: ReasonOption = "",
        author: AuthorOption = None,
    ) -> None:
        append(ctx, author, reason, lambda marker: marker.of_tracks(action, numbers, (begins, ends)))


def append(ctx: typer.Context, author: str | None, reason: str, make: "Callable[[Marker], list[Edit]]") -> None:
    """Add the edits that ``make`` makes to the job of a command, and tell them."""
    from farm.jobs.context import open_context
    from farm.jobs.edits import add_edits
    from farm.jobs.marking import Marker
    from farm.settings import load_settings

    context = open_context(load_settings())
    marker = Marker(context, str(ctx.obj), author or who(), reason)
    edits = make(marker)
    tell(context, marker.job, add_edits(context, marker.job, lambda _: edits))


@app.command("undo")
def undo_one(
    ctx: typer.Context,
    number: Annotated[
        int | None, typer.Argument(metavar="[NUMBER]", help="Of the edit. Default: the last one.")
    ] = None,
    reason: ReasonOption = "",
    author: AuthorOption = None,
) -> None:
    """Undo an edit. To undo an undo is to redo."""
    from farm.jobs.context import open_context
    from farm.jobs.edits import add_edits, undo
    from farm.settings import load_settings

    context = open_context(load_settings())
    job = str(ctx.obj)
    by = author or who()
    tell(context, job, add_edits(context, job, lambda before: [undo(before, number, by, reason)]))


@app.command("log")
def log(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List all edits of a job, also those that were undone."""
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.edits import edits_of
    from farm.jobs.queries import iso_time
    from farm.settings import load_settings

    edits = edits_of(open_context(load_settings()), str(ctx.obj))
    left = {one.number for one in effective(edits)}
    if as_json:
        said = [
            {"number": e.number, "at": iso_time(e.at), "author": e.author, "reason": e.reason, **e.body()}
            | {"in_effect": e.number in left}
            for e in edits
        ]
        display.print_json(said)
    elif edits:
        for one in edits:
            state = "" if one.number in left or one.action is Action.UNDO else " (undone)"
            why = f": {one.reason}" if one.reason else ""
            line = f"{one.number:4}  {moment(one.at)}  {one.author}  {described(one)}{state}{why}"
            display.output.print(shown(line), soft_wrap=True, markup=False)
    else:
        display.output.print("no edits")


def tell(context: "Context", job: str, added: Sequence[Edit]) -> None:
    """Print edits that were added, and what the job needs now."""
    from farm.cli import display
    from farm.jobs.queries import job_facts

    for one in added:
        display.output.print(f"edit {one.number}: {described(one)}", soft_wrap=True, markup=False)
    facts = job_facts(context, job)
    if facts.waits:
        display.errors.print(f"when all is right: farm approve {facts.id}", soft_wrap=True)
    elif facts.unmasked:
        when = "" if facts.status == JobStatus.DONE else "when the job is done: "
        display.errors.print(f"not in the output yet; {when}farm redact {facts.id}", soft_wrap=True)


def described(edit: Edit) -> str:
    """What an edit does, in a few words."""
    match edit.action:
        case Action.UNDO:
            return f"undo {edit.undoes}"
        case Action.COVER:
            return f"cover {_drawn(edit)}{' that moves' if len(edit.where) > 1 else ''}"
        case Action.IGNORE:
            return f"ignore what is inside {_drawn(edit)}"
        case Action.ONLY:
            return "cover only what touches a box"
        case Action.REPLACE:
            return "cover what a file says"
    if edit.action in OF_SOUND:
        return f"{edit.action.value} {'a span of' if edit.begins is not None or edit.ends is not None else 'all'} sound"
    part = " in a part of its time" if edit.begins is not None or edit.ends is not None else ""
    return f"{edit.action.value} track {number_text(edit.track or 0)}{part}"


def _drawn(edit: Edit) -> str:
    if edit.where[0].polygon:
        return "a polygon"
    return "an ellipse" if edit.override and edit.override.shape == "ellipse" else "a box"
