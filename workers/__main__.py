"""``python -m workers DEVICES``: what ``farm worker`` and ``farm up`` start.

With ``--list`` it checks the devices, prints their names and starts nothing; with ``--abilities`` it prints them and
what workers of them can do, as JSON; with ``--detector=NAME`` it runs that detector once; with ``--recogniser=NAME`` it
prints the faces on the photos that stand after it, as JSON of :mod:`farm.domain.faces`.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from farm.domain.detectors import DetectOptions
from farm.domain.faces import dump_references
from farm.domain.recognisers import PeopleOptions
from farm.errors import FarmError
from farm.executables import find_ffmpeg
from farm.logs import begin_log
from farm.settings import load_settings
from workers.capabilities import find
from workers.device import parse_devices
from workers.supervisor import run
from workers.vision.device import environment

_TRIED = 64  # pixels

begin_log("workers", console="text")
try:
    detector = next((word.partition("=")[2] for word in sys.argv[1:] if word.startswith("--detector=")), None)
    recogniser = next((word.partition("=")[2] for word in sys.argv[1:] if word.startswith("--recogniser=")), None)
    asked = {word for word in sys.argv[1:] if word.startswith("--")}
    words = [word for word in sys.argv[1:] if word not in asked] or ["auto"]
    devices = parse_devices(words[0])
    code, settings = 0, load_settings(database_url=None, flower_basic_auth=None)  # passwords of others
    if "--list" in asked:  # check the devices and start nothing
        print(*(device.name for device in devices))
    elif "--abilities" in asked:
        os.environ.update(environment(max(devices)))  # a GPU if there is one: its encoders are seen by this process
        able = find(devices, settings.cpu_runtime).without(settings)
        print(json.dumps({"devices": [device.name for device in devices], **asdict(able)}))
    elif detector is not None:
        from workers.stages.toolbox import Toolbox

        os.environ.update(environment(max(devices)))
        Toolbox(settings, max(devices).name).try_detector(DetectOptions(detector=detector, size=_TRIED))
    elif recogniser is not None:
        from workers.stages.toolbox import Toolbox

        os.environ.update(environment(max(devices)))
        photos = [Path(word) for word in words[1:]]
        options = PeopleOptions(recogniser=recogniser)
        print(dump_references(Toolbox(settings, max(devices).name).read_photos(options, photos)))
    else:
        find_ffmpeg(settings.ffmpeg)  # a program that cannot compose is refused before detection, not after it
        begin_log("workers", settings.logs / "workers.log", console=settings.log_console)
        code = run(settings, devices)
except FarmError as e:
    print(f"error: {e}", file=sys.stderr)
    code = e.exit_code
sys.exit(code)
