"""``python -m farm``: the same as ``farm``."""

from farm.cli.main import run

run()
