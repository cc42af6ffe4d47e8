"""Commands that run the farm or check it: up, worker, coordinator, doctor."""

import threading
import time
from dataclasses import asdict
from typing import Annotated

import typer

from farm.cli.jobs import JsonOption
from farm.errors import FarmError
from farm.processes import become, begin_log, module
from farm.settings import Settings, load_settings

DevicesOption = Annotated[str | None, typer.Option(help="auto, cpu:N or cuda:0,cuda:1. Default: auto.")]
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
    from farm.cli.display import errors, output
    from farm.local.farm import EmbeddedFarm, lock_home

    settings = _settings(devices)
    lock = lock_home(settings)
    if lock is None:
        raise FarmError(f"a farm is running in {settings.home} already", hint="stop it, or choose another FARM_HOME")
    begin_log(settings.home / "logs" / "coordinator.log")
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
    from farm.broker import check_broker

    check_broker(settings)
    # farm never imports workers
    become(module("workers", settings.devices), settings.home / "logs", {"FARM_HOME": str(settings.home)})


def coordinator() -> None:
    """Run only the coordinator: for a farm of many machines, beside its database."""
    from farm.broker import check_broker
    from farm.cli.display import output
    from farm.coordinator.service import Coordinator
    from farm.jobs.context import open_context

    settings = load_settings()
    begin_log()
    check_broker(settings)
    # until SIGINT or SIGTERM, which raise KeyboardInterrupt
    Coordinator(open_context(settings), tell=output.print).run(threading.Event())


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
