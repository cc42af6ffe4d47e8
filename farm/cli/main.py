"""The ``farm`` command: registers the subcommands, and turns an error into one line and an exit code."""

import logging
import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from farm import __version__
from farm.cli import clean, demo, jobs, models, service, submit, up, verify
from farm.cli.commands import in_one_style
from farm.cli.defects import DEFECT, defect_line
from farm.cli.submit_options import error_text
from farm.domain.printable import shown
from farm.errors import FarmError

INTERRUPTED = 130

app = typer.Typer(
    name="farm",
    help="Make the faces in videos unrecognisable.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
submit.register(app)
jobs.register(app)
up.register(app)
service.register(app)
demo.register(app)
clean.register(app)
verify.register(app)
app.add_typer(models.app, name="models")
in_one_style(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"blurfarm {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of ``farm`` itself."""


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def run() -> NoReturn:
    """The console script. Users see no traceback: that of a defect goes to a log that the message names."""
    signal.signal(signal.SIGTERM, _terminated)
    logging.captureWarnings(capture=True)
    try:
        app()
    except FarmError as e:
        fail(e)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of the output closed it: `farm list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as e:  # noqa: BLE001 - whatever is left is a defect, and is logged
        print(f"error: {defect_line(e)}", file=sys.stderr)
        sys.exit(DEFECT)
    sys.exit(0)


def fail(error: FarmError) -> NoReturn:
    """Print one line and exit with the error's code."""
    print(f"error: {shown(error_text(error))}", file=sys.stderr)
    sys.exit(error.exit_code)
