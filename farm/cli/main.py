"""The ``farm`` command: registers the subcommands, and turns an error into one line and an exit code."""

import logging
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated, NoReturn

import typer

from farm import __version__
from farm.cli import demo, jobs, models, service, submit, up, verify
from farm.cli.submit_options import error_text
from farm.errors import FarmError
from farm.settings import default_home

INTERRUPTED = 130
DEFECT = 70  # sysexits.h EX_SOFTWARE

app = typer.Typer(
    name="farm",
    help="Makes faces in video unrecognisable, at any scale.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
submit.register(app)
jobs.register(app)
up.register(app)
service.register(app)
demo.register(app)
verify.register(app)
app.add_typer(models.app, name="models")


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
        _defect(e)
    sys.exit(0)


def fail(error: FarmError) -> NoReturn:
    """Print one line and exit with the error's code."""
    print(f"error: {error_text(error)}", file=sys.stderr)
    sys.exit(error.exit_code)


def _defect(error: Exception) -> NoReturn:
    log = default_home() / "logs" / "defects.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as f:
            traceback.print_exception(error, file=f)
        where = f"please report it with the end of {log}"
    except OSError:
        where = "please report it"
    line = str(error).splitlines()[0] if str(error) else ""
    print(f"error: a defect in farm: {type(error).__name__}: {line} ({where})", file=sys.stderr)
    sys.exit(DEFECT)
