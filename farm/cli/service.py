"""Commands that run parts of a farm or check it: worker, coordinator, key, doctor."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from farm.cli.jobs import JsonOption
from farm.cli.up import DevicesOption
from farm.logs import begin_log
from farm.processes import become, module
from farm.signing import Signer, make_key

if TYPE_CHECKING:
    from farm.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("worker")(worker)
    app.command("coordinator")(coordinator)
    app.command("key")(key)
    app.command("doctor")(doctor)


def _warn(settings: "Settings") -> None:
    if warning := settings.warning():
        print(f"warning: {warning}", file=sys.stderr)


def worker(devices: DevicesOption = None) -> None:
    """Run workers on this machine for a farm elsewhere (FARM_BROKER_URL)."""
    from farm.broker import check_broker
    from farm.settings import load_settings

    settings = load_settings(**({} if devices is None else {"devices": devices}))
    _warn(settings)
    check_broker(settings)
    Signer.load(settings.key_path)
    # farm never imports workers
    become(module("workers", settings.devices), settings.home / "logs", settings.for_children())


def coordinator() -> None:
    """Run the coordinator of a farm of several machines."""
    from farm.broker import check_broker
    from farm.cli.display import output
    from farm.local.coordinator import run
    from farm.settings import load_settings

    settings = load_settings()
    _warn(settings)
    begin_log("coordinator", settings.logs / "coordinator.log", console=settings.log_console)
    check_broker(settings)
    Signer.load(settings.key_path)
    run(settings, output.print)


def key() -> None:
    """Make the key that signs the messages of a farm of several machines, unless there is one."""
    from farm.cli.display import output
    from farm.settings import load_settings

    path = load_settings().key_path
    made = make_key(path)
    name = Signer.load(path).name
    text = "made; copy it to all hosts of the farm, for its user only (mode 600)" if made else "is there already"
    output.print(f"key {name}: {path} {text}", soft_wrap=True, markup=False, highlight=False)


def doctor(as_json: JsonOption = False) -> None:
    """Check this machine and say what is missing."""
    from farm.cli.display import output, print_json
    from farm.doctor import diagnose
    from farm.settings import load_settings

    checks = list(diagnose(load_settings()))
    if as_json:
        print_json([asdict(c) for c in checks])
    else:
        for check in checks:
            sign = {True: "ok  ", False: "BAD ", None: "note"}[check.ok]
            advice = f" → {check.advice}" if check.advice else ""
            output.print(f"{sign} {check.name}: {check.found}{advice}", soft_wrap=True, markup=False)
    if any(c.ok is False for c in checks):
        raise typer.Exit(1)
