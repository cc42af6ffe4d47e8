"""``farm edit``: what a person says of the masks and the sound of a job."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.jobs import JobArgument, JsonOption
from farm.cli.tables import moment
from farm.cli.workers import who
from farm.domain.edits import OF_SOUND, Action, Edit, effective
from farm.domain.options import SHAPES, STYLES
from farm.domain.printable import shown
from farm.domain.stages import JobStatus
from farm.domain.time import seconds_of
from farm.errors import SettingsError
from farm.settings import load_settings

if TYPE_CHECKING:
    from farm.domain.options import Override
    from farm.jobs.context import Context
    from farm.jobs.marking import Marker, Span

app = typer.Typer(help="Correct what a job covers, and its sound.", no_args_is_help=True, rich_markup_mode=None)


def _time(text: str) -> float:
    try:
        return seconds_of(text)
    except ValueError as e:
        raise typer.BadParameter(str(e)) from e


FromOption = Annotated[
    float | None, typer.Option("--from", metavar="TIME", parser=_time, help="From when on. Default: the beginning.")
]
ToOption = Annotated[
    float | None, typer.Option("--to", metavar="TIME", parser=_time, help="Until when. Default: the end.")
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept with the edit.")]
AuthorOption = Annotated[
    str | None, typer.Option("--author", metavar="NAME", help="Kept with the edit. Default: user and host.")
]
BoxOption = Annotated[
    str, typer.Option("--box", metavar="X,Y,W,H", help="On the picture as shown: pixels, or per cent as 10%,20%,5%,8%.")
]
StyleOption = Annotated[str | None, typer.Option(metavar="STYLE", help=f"How it is covered: {', '.join(STYLES)}.")]
ShapeOption = Annotated[str | None, typer.Option(metavar="SHAPE", help=f"Shape of the cover: {', '.join(SHAPES)}.")]
MarginOption = Annotated[
    str | None, typer.Option(metavar="SHARE", help="Extra area on each side, as a share of the box: 50%.")
]
TracksArgument = Annotated[list[int], typer.Argument(metavar="TRACK...", help="As `farm tracks` numbers them.")]


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


@app.command("add-box")
def add_box(
    ctx: typer.Context,
    box: BoxOption,
    end_box: Annotated[
        str | None, typer.Option("--end-box", metavar="X,Y,W,H", help="Where it is at the end, if it moves.")
    ] = None,
    track: Annotated[
        bool, typer.Option("--track", help="Follow what is inside the box, forward and backward, until it is lost.")
    ] = False,
    at: Annotated[
        float | None,
        typer.Option(metavar="TIME", parser=_time, help="With --track: when the box is there. Default: --from."),
    ] = None,
    begins: FromOption = None,
    ends: ToOption = None,
    style: StyleOption = None,
    shape: ShapeOption = None,
    margin: MarginOption = None,
    reason: ReasonOption = "",
    author: AuthorOption = None,
) -> None:
    """Cover a box. With --track a worker looks where it moves, for five minutes each way at most."""
    from farm.jobs.marking import override_of

    if track and end_box is not None:
        raise SettingsError("--track finds where the box moves", hint="leave --end-box out")
    if at is not None and not track:
        raise SettingsError("--at says when the box was drawn that --track follows", hint="add --track")
    override, span = override_of(style, shape, margin), (begins, ends)
    if track:
        append(ctx, author, reason, lambda marker: [_followed(marker, box, at, span, override)])
    else:
        append(ctx, author, reason, lambda marker: [marker.cover(box, span, end_box, override)])


def _followed(marker: "Marker", box: str, at: float | None, span: "Span", override: "Override | None") -> Edit:
    """The edit that covers a box where a worker has found it."""
    from farm.cli import display
    from farm.cli.attach import FarmAtHand
    from farm.domain.carrying import load_carried
    from farm.jobs.errands import run_errand
    from farm.storage.base import opened

    asked = marker.drawn(box, at, span)
    with closing(FarmAtHand(load_settings(), start=True)) as farm:
        made = run_errand(farm.context, marker.job, "carry", asked.request(), farm.tend)
        with opened(farm.context.store, made.key) as path:
            found = load_carried(path.read_text())
    edit, lost = marker.carried(found, span, override)
    for line in lost:
        display.errors.print(line, soft_wrap=True)
    return edit


@app.command("style")
def restyle(
    ctx: typer.Context,
    numbers: TracksArgument,
    style: StyleOption = None,
    shape: ShapeOption = None,
    margin: MarginOption = None,
    begins: FromOption = None,
    ends: ToOption = None,
    reason: ReasonOption = "",
    author: AuthorOption = None,
) -> None:
    """Cover tracks in another way than the job's options say."""
    from farm.jobs.marking import override_of

    override = override_of(style, shape, margin)
    if override is None:
        raise SettingsError("nothing says how the tracks are to be covered", hint="add --style, --shape or --margin")
    span = begins, ends
    append(ctx, author, reason, lambda marker: marker.of_tracks(Action.STYLE, numbers, span, override))


@app.command("ignore")
def ignore(
    ctx: typer.Context,
    box: BoxOption,
    begins: FromOption = None,
    ends: ToOption = None,
    reason: ReasonOption = "",
    author: AuthorOption = None,
) -> None:
    """Cover nothing that lies wholly inside a box, such as faces on a poster."""
    append(ctx, author, reason, lambda marker: [marker.ignore(box, (begins, ends))])


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
    """Append the edits that ``make`` makes to the job of a command, and say so."""
    from farm.jobs.context import open_context
    from farm.jobs.edits import add_edits
    from farm.jobs.marking import Marker

    context = open_context(load_settings())
    marker = Marker(context, str(ctx.obj), author or who(), reason)
    edits = make(marker)
    _tell(context, marker.job, add_edits(context, marker.job, lambda _: edits))


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

    context = open_context(load_settings())
    job = str(ctx.obj)
    by = author or who()
    _tell(context, job, add_edits(context, job, lambda before: [undo(before, number, by, reason)]))


@app.command("log")
def log(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List all edits of a job, also those that were undone."""
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.edits import edits_of
    from farm.jobs.queries import iso_time

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


def _tell(context: "Context", job: str, added: Sequence[Edit]) -> None:
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
            return f"cover a box{' that moves' if len(edit.where) > 1 else ''}"
        case Action.IGNORE:
            return "ignore what is inside a box"
    if edit.action in OF_SOUND:
        return f"{edit.action.value} {'a span of' if edit.begins is not None or edit.ends is not None else 'all'} sound"
    part = " in a part of its time" if edit.begins is not None or edit.ends is not None else ""
    return f"{edit.action.value} track {edit.track}{part}"
