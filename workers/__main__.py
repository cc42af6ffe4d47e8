"""``python -m workers DEVICES``: what ``farm worker`` and ``farm up`` start.

``--check`` checks the devices and starts nothing; ``--abilities`` also prints what workers of them can do, as JSON.
"""

import json
import os
import sys
from dataclasses import asdict

from farm.errors import FarmError
from farm.processes import begin_log
from farm.settings import load_settings
from workers.capabilities import find
from workers.device import parse_devices
from workers.supervisor import Supervisor
from workers.vision.device import environment

begin_log()
try:
    asked = {word for word in sys.argv[1:] if word.startswith("--")}
    words = [word for word in sys.argv[1:] if word not in asked] or ["auto"]
    devices = parse_devices(words[0])
    code = 0
    if "--abilities" in asked:
        settings = load_settings()
        os.environ.update(environment(max(devices)))  # a GPU if there is one: its encoders are seen by this process
        print(json.dumps(asdict(find(devices, settings.cpu_runtime).without(settings))))
    elif "--check" not in asked:
        code = Supervisor(load_settings(), devices).run()
except FarmError as e:
    print(f"error: {e}", file=sys.stderr)
    code = e.exit_code
sys.exit(code)
