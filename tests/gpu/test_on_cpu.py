"""What GPU hosts run, on the CPU build of PyTorch: everything up to the card."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Farm, assert_exact, farm, frames_of

__all__ = ["farm"]  # a fixture

pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.e2e


def test_a_job_by_pytorch_finds_what_one_by_onnxruntime_does(farm: Farm, clip: Path, tmp_path: Path) -> None:
    found = {}
    for runtime in ("torch", "onnxruntime"):
        farm.env |= {"FARM_CPU_RUNTIME": runtime, "FARM_DEVICES": "cpu:1"}
        facts = farm.json("submit", clip, "-o", tmp_path / f"{runtime}.mp4", "--runtime", runtime)
        assert facts["options"]["detect"]["runtime"].startswith(runtime)
        assert_exact(clip, tmp_path / f"{runtime}.mp4")
        found[runtime] = (facts["faces"], facts["frames_with_faces"])
    assert found["torch"] == found["onnxruntime"] == (1, len(frames_of(clip)))
