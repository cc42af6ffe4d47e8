"""The ``farm`` command: registers the subcommands, and turns an error into one line and an exit code."""

import logging
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from farm import __version__
from farm.cli import config, demo, jobs, models, service, submit, verify
from farm.cli.streams import prepare_streams
from farm.cli.submit_options import error_text
from farm.configuration import CONFIG, default_home
from farm.errors import FarmError, PrintError

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
service.register(app)
demo.register(app)
verify.register(app)
config.register(app)
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
    settings: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings file. Default: farm.toml in FARM_HOME.")
    ] = None,
) -> None:
    """Options of ``farm`` itself."""
    if settings is not None:  # children read the same file
        os.environ[CONFIG] = str(settings.expanduser().absolute())


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def run() -> NoReturn:
    """Run the command line. Users see no traceback: that of a defect goes to a log that the message names."""
    signal.signal(signal.SIGTERM, _terminated)
    logging.captureWarnings(capture=True)
    os.umask(os.umask(0) | 0o002)  # nothing that everybody can write to
    prepare_streams()
    code = _run_app()
    try:
        sys.stdout.flush()
    except PrintError as e:
        code = code or fail(e)
    sys.exit(code)


def _run_app() -> int:
    try:
        app()
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else 0
    except FarmError as e:
        return fail(e)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as e:  # noqa: BLE001 - whatever is left is a defect, and is logged
        return _defect(e)
    return 0


def fail(error: FarmError) -> int:
    """Print an error's line and return its exit code."""
    print(f"error: {error_text(error)}", file=sys.stderr)
    return error.exit_code


def _defect(error: Exception) -> int:
    try:
        log = default_home() / "logs" / "defects.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as f:
            traceback.print_exception(error, file=f)
        where = f"please report it with the end of {log}"
    except (OSError, FarmError):
        where = "please report it"
    line = str(error).splitlines()[0] if str(error) else ""
    print(f"error: a defect in farm: {type(error).__name__}: {line} ({where})", file=sys.stderr)
    return DEFECT
