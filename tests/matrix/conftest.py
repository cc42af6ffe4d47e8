"""Fixtures of the matrix."""

import pytest

from tests.matrix.clips import Kitchen


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Kitchen:
    """Create each clip when it is first requested."""
    return Kitchen(tmp_path_factory.mktemp("kitchen"))
