"""``farm worker``: one process per device, started again when it ends."""

import logging
import time
from math import inf

from farm.settings import Settings
from farm.supervision import Stops, Supervisor, worker
from workers.vision.device import Device

log = logging.getLogger(__name__)


def run(settings: Settings, devices: list[Device]) -> int:
    """Keep a worker per device running; returns 0 when stopped. The first signal drains: see :class:`Stops`.

    Raises DeviceError when no worker can use its device.
    """
    stops, supervisor = Stops(), Supervisor(log.warning)
    for device in devices:
        supervisor.add(worker(settings, device.name))
        log.info("worker %s is started", device.name)
    try:
        while not stops.asked:
            time.sleep(0.2)
            supervisor.watch()
    finally:
        # a worker finishes its chunk before it stops; whoever stops this process decides how long that may take
        supervisor.stop({"workers"}, inf, lambda: stops.hurry)
    return 0
