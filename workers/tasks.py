"""The Celery tasks, one a stage: thin. Their keyword arguments beside ``order`` are for people who look at Flower."""

from typing import Any

from workers.app import app
from workers.running import run_order


@app.task(name="detect")
def detect(order: dict[str, Any], **_readable: str) -> None:
    """Find the faces of one chunk."""
    run_order(order)


@app.task(name="redact")
def redact(order: dict[str, Any], **_readable: str) -> None:
    """Cover the faces of one chunk and encode it."""
    run_order(order)


@app.task(name="compose")
def compose(order: dict[str, Any], **_readable: str) -> None:
    """Join the segments and the source's other streams, and verify the whole."""
    run_order(order)
