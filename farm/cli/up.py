"""Commands that start and stop a farm on this machine: up, down."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from farm.errors import FarmError, PrintError
from farm.logs import begin_log
from farm.processes import environment, module, users_umask

if TYPE_CHECKING:
    from farm.settings import Settings

log = logging.getLogger(__name__)

DevicesOption = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICES", help="What to compute on: auto, cpu:N (cores) or cuda:0,cuda:1 (GPUs). Default: auto."
    ),
]
_POLL_SECONDS = 0.1
_DRAIN_SECONDS = 30.0  # how long workers may take to finish the chunks under way
_DRAINING = f"the workers finish their chunks first, for up to {_DRAIN_SECONDS:.0f} s"
_AT_ONCE_SECONDS = 15.0
_LOCK_SECONDS = 1.0
_STOP_SECONDS = 2 * _DRAIN_SECONDS  # after which a farm that was asked to stop is taken to hang


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("down")(down)


def up(
    devices: DevicesOption = None,
    flower: Annotated[bool, typer.Option(help="Also start Flower, a web page that shows the workers.")] = True,
    detach: Annotated[bool, typer.Option("--detach", help="Return when the farm is up.")] = False,
    print_unit: Annotated[bool, typer.Option("--print-unit", help="Print a systemd user unit for the farm.")] = False,
) -> None:
    """Run a farm on this machine until Ctrl-C."""
    from farm.cli.display import output
    from farm.local.unit import systemd_unit
    from farm.settings import load_settings

    settings = load_settings(**({} if devices is None else {"devices": devices}))
    words = ["up", *([] if devices is None else ["--devices", devices]), *([] if flower else ["--no-flower"])]
    command = module("farm", *words)
    if print_unit:
        print(systemd_unit(settings, command, _DRAIN_SECONDS), end="")
    elif detach:
        _start_detached(settings, command)
        output.print(f"the farm is up: {settings.home}", soft_wrap=True)
        output.print("submit with `farm submit VIDEO`; `farm down` stops the farm")
    else:
        _run(settings, flower=flower)


def _say(text: str) -> None:
    """Tell the person at the terminal, which may be closed by now, or a log, with the time."""
    from farm.cli.display import output

    log.info("%s", text)
    now = "" if output.is_terminal else f"{datetime.now(UTC).astimezone():%Y-%m-%d %H:%M:%S} "
    try:
        output.print(now + text, soft_wrap=True)
    except (OSError, PrintError):  # what could not be written must not fail again when the process ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(settings: "Settings", *, flower: bool) -> None:
    from farm.local.farm import EmbeddedFarm
    from farm.local.home import lock_home
    from farm.supervision import Stops

    if warning := settings.warning():
        _say(f"warning: {warning}")
    lock = lock_home(settings, patience=_LOCK_SECONDS)
    if lock is None:
        raise FarmError(f"a farm is running in {settings.home} already", hint="stop it, or choose another FARM_HOME")
    begin_log("farm up", settings.logs / "up.log")
    stops = Stops()
    with EmbeddedFarm(settings, lock, _say, service=True, flower=flower) as farm:
        while not stops.asked and not farm.is_up():
            farm.tend()
            time.sleep(_POLL_SECONDS)
        if not stops.asked:
            _say(f"the farm is up: {settings.home}, logs in {settings.home / 'logs'}")
            _say("submit with `farm submit VIDEO`; Ctrl-C stops the farm")
        while not stops.asked:
            farm.tend()
            time.sleep(_POLL_SECONDS)
        _say(f"stopping: {_DRAINING} (Ctrl-C again to stop at once)")
        farm.close(_DRAIN_SECONDS, lambda: stops.hurry)
    _say("the farm has stopped; the next `farm up` resumes unfinished jobs")


def _start_detached(settings: "Settings", command: list[str]) -> None:
    """Start the farm in the background and wait until it is up. Raises FarmError with its last line if it ends."""
    from farm.local.home import running_farm

    settings.make_home()
    path = settings.home / "logs" / "farm.log"
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as log:
        began = log.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=path.parent,
            env=environment(path.parent, settings.for_children(database=True)), umask=users_umask(),
        )  # fmt: skip
    try:
        while (farm := running_farm(settings)) is None or farm.pid != process.pid or not farm.up:
            if process.poll() is not None:
                said = path.read_bytes()[began:].decode(errors="replace").splitlines() or ["it printed nothing"]
                error = FarmError(said[-1].removeprefix("error: "))
                error.exit_code = process.returncode
                raise error
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        process.terminate()
        raise


def down(now: Annotated[bool, typer.Option("--now", help="Do not wait for the chunks in progress.")] = False) -> None:
    """Stop the farm that `farm up` runs on this machine, after the chunks in progress."""
    from farm.cli.display import output
    from farm.local.home import is_running, running_farm
    from farm.settings import load_settings

    settings = load_settings()
    if not is_running(settings):
        output.print(f"no farm is running in {settings.home}", soft_wrap=True)
        return
    farm = running_farm(settings)
    if farm is None or not farm.service:
        whose = "a process that is starting or ending" if farm is None else f"a running command (pid {farm.pid})"
        raise FarmError(f"the farm in {settings.home} belongs to {whose}", hint="wait for it, or stop it with Ctrl-C")
    _signal(farm.pid, signal.SIGQUIT if now else signal.SIGTERM)
    if not now:
        output.print(f"stopping: {_DRAINING} (`farm down --now` to stop at once)", soft_wrap=True)
    until = time.monotonic() + (_AT_ONCE_SECONDS if now else _STOP_SECONDS)
    while is_running(settings):
        time.sleep(_POLL_SECONDS)
        if time.monotonic() > until:
            if not now:
                raise FarmError(f"the farm (pid {farm.pid}) has not stopped", hint="`farm down --now` ends it")
            _signal(farm.pid, signal.SIGKILL)  # its children end with it
    output.print("the farm has stopped; the next `farm up` resumes unfinished jobs")


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
