"""``python -m workers DEVICES``: what ``farm worker`` and ``farm up`` start."""

import sys

from farm.errors import FarmError
from farm.executables import find_ffmpeg
from farm.processes import begin_log
from farm.settings import load_settings
from workers.device import parse_devices
from workers.supervisor import Supervisor

begin_log()
try:
    words = [w for w in sys.argv[1:] if w != "--check"] or ["auto"]
    devices = parse_devices(words[0])
    settings = load_settings()
    find_ffmpeg(settings.ffmpeg)  # a program that cannot compose is refused before detection, not after it
    # --check: check the above and start nothing
    code = 0 if "--check" in sys.argv else Supervisor(settings, devices).run()
except FarmError as e:
    print(f"error: {e}", file=sys.stderr)
    code = e.exit_code
sys.exit(code)
