"""Commands that run parts of a farm or check it: worker, coordinator, doctor."""

import os
import sys
from dataclasses import asdict

import typer

from farm.cli.jobs import JsonOption
from farm.cli.up import DevicesOption
from farm.processes import DATABASE_ADDRESS, begin_log
from farm.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("worker")(worker)
    app.command("coordinator")(coordinator)
    app.command("doctor")(doctor)


def worker(devices: DevicesOption = None) -> None:
    """Run workers on this machine, one process a device, for a farm whose broker FARM_BROKER_URL names."""
    settings = load_settings(**({} if devices is None else {"devices": devices}))
    from farm.broker import check_broker

    check_broker(settings)
    os.environ.pop(DATABASE_ADDRESS, None)
    # farm never imports workers
    os.execv(sys.executable, [sys.executable, "-m", "workers", settings.devices])  # noqa: S606 - our own program


def coordinator() -> None:
    """Run only the coordinator: for a farm of many machines, beside its database."""
    from farm.broker import check_broker
    from farm.cli.display import output
    from farm.local.coordinator import run

    settings = load_settings()
    begin_log()
    check_broker(settings)
    run(settings, output.print)


def doctor(as_json: JsonOption = False) -> None:
    """Check what the farm needs on this machine, and say what to do about what is missing."""
    from farm.cli.display import output, print_json
    from farm.doctor import diagnose

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
