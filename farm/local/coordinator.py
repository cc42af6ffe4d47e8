"""The coordinator as a process: ``farm up`` and ``farm submit`` start ``python -m farm.local.coordinator UMASK``."""

import sys
import threading
from collections.abc import Callable

from farm.coordinator.losses import give_all_back
from farm.coordinator.service import Coordinator
from farm.errors import FarmError
from farm.jobs.context import open_context
from farm.logs import begin_log
from farm.processes import end_with_input, keep_private
from farm.settings import Settings, load_settings
from farm.supervision import Stops

_LOOK_SECONDS = 0.5


def run(settings: Settings, tell: Callable[[str], None] | None = None, *, embedded: bool = False) -> None:
    """Coordinate until a signal asks to stop. ``tell``: see :class:`Coordinator`. Raises DatabaseError, SettingsError.

    ``embedded``: for the farm that holds the home's lock, with a Redis of its own. Its workers stop before this: then
    orders under way are released, and count as no failure.
    """
    stop = threading.Event()
    stops = Stops(stop.set)  # this thread takes the event's lock nowhere else
    context = open_context(settings)
    sole = embedded and settings.database_url is None  # nobody else starts one in this home, as its lock is held
    coordinator = Coordinator(context, sole=sole, tell=tell)
    loop = threading.Thread(target=coordinator.run, args=[stop], name="coordinator", daemon=True)
    loop.start()
    while not stops.asked and loop.is_alive():
        loop.join(_LOOK_SECONDS)  # less if the loop ends, which a signal tells it to
    while not stops.hurry and loop.is_alive() and not coordinator.ended.wait(0.1):
        pass
    if coordinator.led and embedded:
        give_all_back(context, "the farm was stopped")


def main() -> int:
    """Run the coordinator; returns the exit status. First argument: the user's umask, octal, for the outputs."""
    keep_private(int(sys.argv[1], 8))
    end_with_input()
    try:
        settings = load_settings()
        begin_log("coordinator", settings.logs / "coordinator.log")
        run(settings, embedded=settings.embedded)
    except FarmError as e:
        sys.stderr.write(f"error: {e}\n")
        return e.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
