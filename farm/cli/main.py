"""The ``farm`` command: registers the subcommands, and turns an error into one line and an exit code."""

import logging
import os
import resource
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from farm import __version__
from farm.cli import (
    audit,
    bench,
    clean,
    config,
    demo,
    drawing,
    edits,
    exchange,
    jobs,
    logs,
    models,
    people,
    preview,
    redo,
    revisions,
    service,
    sound,
    submit,
    tracks,
    up,
    verify,
    workers,
)
from farm.cli.commands import in_one_style
from farm.cli.defects import DEFECT, defect_line
from farm.cli.streams import prepare_streams
from farm.cli.submit_options import error_text
from farm.configuration import CONFIG, settings_file
from farm.domain.printable import shown
from farm.errors import FarmError, PrintError
from farm.processes import keep_private

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
preview.register(app)
tracks.register(app)
audit.register(app)
edits.register(app)
people.register(app)
redo.register(app)
sound.register()
revisions.register(app)
drawing.register()
exchange.register(app)
logs.register(app)
up.register(app)
service.register(app)
demo.register(app)
bench.register(app)
clean.register(app)
verify.register(app)
config.register(app)
app.add_typer(models.app, name="models")
app.add_typer(workers.app, name="workers")
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
    settings: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings file. Default: farm.toml in FARM_HOME.")
    ] = None,
) -> None:
    """Options of ``farm`` itself."""
    if settings is not None:  # children read the same file
        os.environ[CONFIG] = str(settings)
        os.environ[CONFIG] = str(settings_file())


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def run() -> NoReturn:
    """Run the command line. Users see no traceback: that of a defect goes to a log that the message names."""
    signal.signal(signal.SIGTERM, _terminated)
    logging.captureWarnings(capture=True)
    keep_private()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold decoded frames; as for all children
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
        print(f"error: {defect_line(e)}", file=sys.stderr)
        return DEFECT
    return 0


def fail(error: FarmError) -> int:
    """Print an error's line and return its exit code."""
    print(f"error: {shown(error_text(error))}", file=sys.stderr)
    return error.exit_code
