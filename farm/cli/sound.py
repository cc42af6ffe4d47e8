"""``farm edit JOB mute|beep``: what a person says of the sound of a job."""

import typer

from farm.cli.edits import AuthorOption, FromOption, ReasonOption, ToOption, app, append
from farm.domain.edits import Action


def register() -> None:
    """Add the commands to ``farm edit``."""
    for action, text in (
        (Action.MUTE, "Silence all sound of a span."),
        (Action.BEEP, "Put a tone in place of all sound of a span."),
    ):
        _add(action, text)


def _add(action: Action, text: str) -> None:
    @app.command(action.value, help=f"{text} The rest is encoded again, as near to the source as its codec allows.")
    def change(
        ctx: typer.Context,
        begins: FromOption = None,
        ends: ToOption = None,
        reason: ReasonOption = "",
        author: AuthorOption = None,
    ) -> None:
        append(ctx, author, reason, lambda marker: [marker.sound(action, (begins, ends))])
