"""Commands that run the farm or check it: up, worker, coordinator, doctor."""

import json
import os
import sys
import threading
import time
from dataclasses import asdict
from typing import Annotated

import typer

from farm.errors import FarmError
from farm.processes import DATABASE_ADDRESS
from farm.settings import Settings, load_settings

DevicesOption = Annotated[str | None, typer.Option(help="auto, cpu:N or cuda:0,cuda:1. Default: auto.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]
_DRAIN_SECONDS = 30.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("worker")(worker)
    app.command("coordinator")(coordinator)
    app.command("doctor")(doctor)


def _settings(devices: str | None) -> Settings:
    return load_settings(**({} if devices is None else {"devices": devices}))


def up(
    devices: DevicesOption = None,
    flower: Annotated[bool, typer.Option(help="Start Flower, too.")] = True,
) -> None:
    """Run the whole farm on this machine: Redis, coordinator, workers and Flower, until Ctrl-C."""
    from farm.cli.display import errors, output  # noqa: PLC0415 - `farm --help` should not wait for it
    from farm.local.farm import EmbeddedFarm, lock_home  # noqa: PLC0415

    settings = _settings(devices)
    lock = lock_home(settings)
    if lock is None:
        raise FarmError(f"a farm is running in {settings.home} already", hint="stop it, or choose another FARM_HOME")
    logging_to_file(settings, "coordinator")
    with EmbeddedFarm(settings, lock, grace=_DRAIN_SECONDS, flower=flower) as farm:
        output.print(f"the farm is up: {settings.home}, logs in {settings.home / 'logs'}", soft_wrap=True)
        if flower:
            output.print(f"Flower: http://{settings.flower_address}:{settings.flower_port}")
        output.print("submit with `farm submit VIDEO`; Ctrl-C stops the farm")
        try:
            while True:
                time.sleep(0.5)
                farm.check()
        except KeyboardInterrupt:
            errors.print("stopping: chunks under way are finished first (Ctrl-C again: at once)")
    output.print("the farm is down; unfinished jobs go on at the next `farm up`", soft_wrap=True)


def worker(devices: DevicesOption = None) -> None:
    """Run workers on this machine, one process a device, for a farm whose broker FARM_BROKER_URL names."""
    settings = _settings(devices)
    from farm.broker import check_broker  # noqa: PLC0415 - `farm --help` should not wait for it

    check_broker(settings)
    os.environ.pop(DATABASE_ADDRESS, None)
    # farm never imports workers
    os.execv(sys.executable, [sys.executable, "-m", "workers", settings.devices])  # noqa: S606 - our own program


def coordinator() -> None:
    """Run only the coordinator: for a farm of many machines, beside its database."""
    import logging  # noqa: PLC0415

    from farm.broker import check_broker  # noqa: PLC0415
    from farm.cli.display import output  # noqa: PLC0415
    from farm.coordinator.service import Coordinator  # noqa: PLC0415
    from farm.jobs.context import open_context  # noqa: PLC0415

    settings = load_settings()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    check_broker(settings)
    # until SIGINT or SIGTERM, which raise KeyboardInterrupt
    Coordinator(open_context(settings), tell=output.print).run(threading.Event())


def doctor(as_json: JsonOption = False) -> None:
    """Check what the farm needs on this machine, and say what to do about what is missing."""
    from farm.cli.display import output, print_json_line  # noqa: PLC0415 - `farm --help` should not wait for it
    from farm.doctor import diagnose  # noqa: PLC0415

    checks = list(diagnose(load_settings()))
    if as_json:
        print_json_line(json.dumps([asdict(c) for c in checks]))
    else:
        for check in checks:
            sign = {True: "ok  ", False: "BAD ", None: "note"}[check.ok]
            advice = f" → {check.advice}" if check.advice else ""
            output.print(f"{sign} {check.name}: {check.found}{advice}", soft_wrap=True, markup=False)
    if any(c.ok is False for c in checks):
        raise typer.Exit(1)


def logging_to_file(settings: Settings, name: str) -> None:
    """Send this process's log to a file in the farm's folder of logs."""
    import logging  # noqa: PLC0415

    path = settings.home / "logs" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=path, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
