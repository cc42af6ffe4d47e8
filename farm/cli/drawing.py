"""Edits of what a person draws: boxes, ellipses and polygons that are covered, or in which nothing is."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.edits import (
    AuthorOption,
    FromOption,
    ImageOption,
    MarginOption,
    ReasonOption,
    ShapeOption,
    StyleOption,
    ToOption,
    app,
    append,
    time_option,
)
from farm.domain.edits import Edit
from farm.errors import SettingsError

if TYPE_CHECKING:
    from farm.domain.options import Override
    from farm.domain.regions import Span
    from farm.jobs.marking import Marker

_PIXELS = "On the picture as shown: pixels, or per cent"
_CORNERS = '"X,Y X,Y X,Y"'
_BOX = typer.Option("--box", metavar="X,Y,W,H", help=f"{_PIXELS} as 10%,20%,5%,8%.")
_POINTS = typer.Option("--points", metavar=_CORNERS, help=f"Corners, three or more. {_PIXELS} as 10%,20%.")


def register() -> None:
    """Add the commands to ``farm edit``."""
    app.command("add-box")(add_box)
    app.command("add-polygon")(add_polygon)
    app.command("ignore")(ignore)


def add_box(
    ctx: typer.Context,
    box: Annotated[str, _BOX],
    end_box: Annotated[
        str | None, typer.Option("--end-box", metavar="X,Y,W,H", help="Where it is at the end, if it moves.")
    ] = None,
    track: Annotated[
        bool, typer.Option("--track", help="Follow what is inside the box, forward and backward, until it is lost.")
    ] = False,
    at: Annotated[
        float | None,
        typer.Option(metavar="TIME", parser=time_option, help="With --track: when the box is there. Default: --from."),
    ] = None,
    begins: FromOption = None,
    ends: ToOption = None,
    style: StyleOption = None,
    image: ImageOption = None,
    shape: ShapeOption = None,
    margin: MarginOption = None,
    reason: ReasonOption = "",
    author: AuthorOption = None,
) -> None:
    """Cover a box, or with --shape ellipse the ellipse inside it; all of it, with the margin around.

    With --track a worker looks where it moves, for five minutes each way at most.
    """
    if track and end_box is not None:
        raise SettingsError("--track finds where the box moves", hint="leave --end-box out")
    if at is not None and not track:
        raise SettingsError("--at says when the box was drawn that --track follows", hint="add --track")
    span = begins, ends

    def make(marker: "Marker") -> list[Edit]:
        override = marker.way(style, shape, margin, image)
        return [_followed(marker, box, at, span, override) if track else marker.cover(box, span, end_box, override)]

    append(ctx, author, reason, make)


def _followed(marker: "Marker", box: str, at: float | None, span: "Span", override: "Override | None") -> Edit:
    """The edit that covers a box where a worker has found it."""
    from farm.api import Editor
    from farm.cli import display
    from farm.local.attach import FarmAtHand
    from farm.settings import load_settings

    with closing(FarmAtHand(load_settings(), display.tell, start=True)) as farm:
        editor = Editor(farm, marker)
        edit = editor.followed(box, at, span, override)
    for line in editor.lost:
        display.tell(line)
    return edit


def add_polygon(
    ctx: typer.Context,
    points: Annotated[str, _POINTS],
    end_points: Annotated[
        str | None,
        typer.Option("--end-points", metavar=_CORNERS, help="Where each corner is at the end, in the same order."),
    ] = None,
    begins: FromOption = None,
    ends: ToOption = None,
    style: StyleOption = None,
    image: ImageOption = None,
    margin: MarginOption = None,
    reason: ReasonOption = "",
    author: AuthorOption = None,
) -> None:
    """Cover a polygon; all that its sides enclose, with the margin around."""

    def make(marker: "Marker") -> list[Edit]:
        return [marker.cover_polygon(points, (begins, ends), end_points, marker.way(style, None, margin, image))]

    append(ctx, author, reason, make)


def ignore(
    ctx: typer.Context,
    box: Annotated[str | None, _BOX] = None,
    points: Annotated[str | None, _POINTS] = None,
    begins: FromOption = None,
    ends: ToOption = None,
    reason: ReasonOption = "",
    author: AuthorOption = None,
) -> None:
    """Cover nothing that lies wholly inside a box or a polygon, such as faces on a poster."""
    span = begins, ends
    if box is not None and points is None:
        append(ctx, author, reason, lambda marker: [marker.ignore(box, span)])
    elif points is not None and box is None:
        append(ctx, author, reason, lambda marker: [marker.ignore_polygon(points, span)])
    else:
        raise SettingsError("ignore takes a box or a polygon", hint="give one of --box and --points")
