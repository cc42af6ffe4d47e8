"""Flower, a read-only view of the farm's broker. ``farm up`` starts it as ``python -m farm.local.flower``."""

import logging
import sys

from farm.broker import celery_app
from farm.errors import SettingsError
from farm.settings import Settings, load_settings

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
#: The columns of the table of tasks.
COLUMNS = "name,kwargs,worker,state,received,started,runtime,uuid"


def arguments(settings: Settings) -> list[str]:
    """Flower's command line: read-only, bound to the configured address, with basic auth if it is set.

    Raises SettingsError for an address other than loopback without basic auth.
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
    """Run Flower until it is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = load_settings()
    celery_app(settings).start(arguments(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
