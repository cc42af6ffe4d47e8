"""Clips on their way to an output."""

import hashlib
from pathlib import Path

import pytest

from tests.integration.trips import CLIPS, Rendered, Trip, rendered, start


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """``render(name, *ffmpeg arguments)``: a clip, made once for these arguments. Read only."""
    folder = tmp_path_factory.mktemp("clips")

    def render(name: str, *arguments: str) -> Path:
        own = folder / hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:12]
        own.mkdir(exist_ok=True)
        return rendered(own / name, *arguments)

    return render


@pytest.fixture(scope="session")
def trip(render: Rendered, tmp_path_factory: pytest.TempPathFactory) -> Trip:
    """A composed, good output; tests change a copy of it or of what it is compared with."""
    made = start(render("cfr.mp4", *CLIPS["cfr.mp4"]), tmp_path_factory.mktemp("trip"))
    made.compose()
    made.verify()
    return made
