"""Flower over the farm's broker: a view, never the truth. ``python -m farm.flower`` is what ``farm up`` starts."""

import logging
import sys

from farm.broker import celery_app
from farm.settings import Settings, load_settings

#: What a person wants to see of a task first.
COLUMNS = "name,kwargs,worker,state,received,started,runtime,uuid"


def arguments(settings: Settings) -> list[str]:
    """Flower's command line: bound to where the settings say (loopback), read-only, with basic auth if any is set."""
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
