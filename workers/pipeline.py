"""The stages that a worker runs: each takes an order and leaves one verified artefact in the store."""

from workers.composing import run_compose
from workers.detecting import run_detect
from workers.orders import Result, Tools
from workers.redacting import run_redact

__all__ = ["Result", "Tools", "run_compose", "run_detect", "run_redact"]
