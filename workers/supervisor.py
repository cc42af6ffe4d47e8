"""``farm worker``: one process per device, started again when it ends."""

import logging
import time
from math import inf

from farm.processes import remove_abandoned_scratch, rotate_logs
from farm.settings import Settings
from farm.supervision import Stops, Supervisor, worker
from workers.vision.device import Device

log = logging.getLogger(__name__)
_ROTATE_SECONDS = 60.0
_GIVE_BACK_SECONDS = 10.0


def run(settings: Settings, devices: list[Device]) -> int:
    """Keep a worker per device running; returns 0 when stopped. The first signal drains: see :class:`Stops`.

    Raises DeviceError when no worker can use its device.
    """
    stops, supervisor, rotated = Stops(), Supervisor(log.warning), 0.0
    remove_abandoned_scratch()
    for device in devices:
        supervisor.add(worker(settings, device.name))
        log.info("worker %s is started", device.name)
    try:
        while not stops.asked:
            time.sleep(0.2)
            supervisor.watch()
            if time.monotonic() - rotated > _ROTATE_SECONDS:
                rotated = time.monotonic()
                rotate_logs(settings.home / "logs", settings.log_megabytes)
    finally:
        # a worker finishes its chunk before it stops, for as long as the settings allow; told again, it gives it back
        supervisor.stop({"workers"}, inf, lambda: stops.hurry, again=_GIVE_BACK_SECONDS)
    return 0
