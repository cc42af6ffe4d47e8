"""Damaged files neither hang nor crash the farm, and never give an output that differs from what the file shows."""

import os
from pathlib import Path

import pytest

from tests.matrix.clips import Kitchen
from tests.matrix.hunting import hunt, summary

_SEED = int(os.environ.get("FARM_FUZZ_SEED") or 3)
_COUNT = int(os.environ.get("FARM_FUZZ_COUNT") or 450)
_KEPT = os.environ.get("FARM_FUZZ_DIR")


def test_some_damaged_files(kitchen: Kitchen, tmp_path: Path) -> None:
    """Each file once, each kind of damage at least once."""
    endings = hunt(kitchen, tmp_path, 1, (11 * n for n in range(10)))
    assert [e for e in endings if not e.allowed] == []


@pytest.mark.fuzz
def test_damaged_files(kitchen: Kitchen, tmp_path: Path) -> None:
    folder = Path(_KEPT).absolute() if _KEPT else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    endings = hunt(kitchen, folder, _SEED, range(_COUNT), rare=True)
    said = summary(endings)
    print(f"\nseed {_SEED}, {_COUNT} mutations\n\n{said}\n")
    assert all(e.allowed for e in endings), said
