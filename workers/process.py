"""One worker: the Celery process of one device. Started by :mod:`workers.supervisor`, never by hand."""

import fcntl
import logging
import sys
from pathlib import Path

from farm.errors import DeviceError, FarmError
from farm.media.encoding.encoders import quiet_encoders
from farm.settings import Settings, load_settings
from workers import identity


def hold_device(settings: Settings, device: str) -> object:
    """Keep the device for this process: two workers of one name would take each other for dead. Raises DeviceError."""
    folder = settings.home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    held = Path(folder / f"worker-{device}.lock").open("w")  # noqa: SIM115 - open for as long as the process lives
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        held.close()
        raise DeviceError(f"{device} has a worker on this host already", hint="stop that one first") from e
    return held


def main(device: str) -> int:
    """Run the worker of ``device`` until it is told to stop."""
    settings = load_settings()
    held = hold_device(settings, device)
    quiet_encoders()
    name = identity.assume(device)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    from workers.app import app  # noqa: PLC0415 - it connects signal handlers, for this process only

    app.worker_main(
        ["worker", "--hostname", name, "--pool", "prefork", "--concurrency", "1", "--without-gossip",
         "--without-mingle", "--task-events", "--loglevel", "INFO"]
    )  # fmt: skip
    del held
    return 0


if __name__ == "__main__":
    try:
        code = main(sys.argv[1])
    except FarmError as e:  # the supervisor tells by the code that another start would not help
        sys.stderr.write(f"error: {e}\n")
        code = e.exit_code
    sys.exit(code)
