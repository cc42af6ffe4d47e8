"""``python -m workers DEVICES``: what ``farm worker`` and ``farm up`` start."""

import logging
import sys

from farm.errors import FarmError
from farm.settings import load_settings
from workers.supervisor import main

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
try:
    code = main(load_settings(), sys.argv[1] if len(sys.argv) > 1 else "auto")
except FarmError as e:
    print(f"error: {e}", file=sys.stderr)
    code = e.exit_code
sys.exit(code)
