"""Clips of the matrix."""

import pytest

from tests.matrix.clips import Kitchen


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Kitchen:
    """Makes the clips, each when it is first asked for."""
    return Kitchen(tmp_path_factory.mktemp("kitchen"))
