"""``python -m workers DEVICES``: what ``farm worker`` and ``farm up`` start."""

import sys

from farm.errors import FarmError
from farm.processes import begin_log
from farm.settings import load_settings
from workers.device import parse_devices
from workers.supervisor import run

begin_log()
try:
    words = [w for w in sys.argv[1:] if w != "--list"] or ["auto"]
    devices = parse_devices(words[0])
    if "--list" in sys.argv:  # check the devices and start nothing
        print(*(device.name for device in devices))
        code = 0
    else:
        code = run(load_settings(), devices)
except FarmError as e:
    print(f"error: {e}", file=sys.stderr)
    code = e.exit_code
sys.exit(code)
