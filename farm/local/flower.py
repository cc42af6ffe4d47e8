"""Flower over the farm's broker: a view, never the truth. ``farm up`` starts ``python -m farm.local.flower``."""

import logging
import sys

from farm.broker import celery_app
from farm.errors import SettingsError
from farm.settings import Settings, load_settings

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
#: What a person wants to see of a task first.
COLUMNS = "name,kwargs,worker,state,received,started,runtime,uuid"


def arguments(settings: Settings) -> list[str]:
    """Flower's command line: bound to where the settings say (loopback), read-only, with basic auth if any is set.

    Raises SettingsError for an address that others reach without a password.
    """
    if not settings.flower_basic_auth and settings.flower_address not in _LOOPBACK:
        raise SettingsError(
            f"Flower on {settings.flower_address} would be open to everybody who reaches it",
            hint="set FARM_FLOWER_BASIC_AUTH=user:password",
        )
    words = [
        "flower",
        f"--address={settings.flower_address}",
        f"--port={settings.flower_port}",
        f"--tasks_columns={COLUMNS}",
        "--read_only=True",
        "--persistent=False",
        "--inspect_timeout=3000",
    ]
    if settings.flower_basic_auth:
        words.append(f"--basic_auth={settings.flower_basic_auth}")
    return words


def main() -> int:
    """Run Flower until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = load_settings()
    celery_app(settings).start(arguments(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
