"""What a worker says that it can do: found out in another process, the same as in this one."""

import pytest

from farm.errors import DeviceError, FarmError
from farm.settings import Settings
from workers.capabilities import ask, find
from workers.vision.device import Device


def test_another_process_finds_what_this_one_does() -> None:
    found = ask(Settings(cpu_runtime="onnxruntime"), "cpu0")
    assert found == find([Device("cpu", 0)], "onnxruntime")
    assert {"libx264", "ffv1"} <= set(found.encoders)
    assert found.runtimes == ("onnxruntime-f32",)


def test_workers_of_several_kinds_of_devices_are_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.vision.detectors.checking.check", lambda *_: None)
    monkeypatch.setattr("workers.vision.device.gpu_families", lambda: ("cuda",))
    found = find([Device("cuda", 0), Device("cpu", 0), Device("cpu", 1)], "onnxruntime")
    assert found.runtimes == ("cuda-f32", "onnxruntime-f32")


def test_a_gpu_that_cannot_be_computed_on_has_no_worker() -> None:
    with pytest.raises(DeviceError, match=r"cuda99: .*onnxruntime"):
        ask(Settings(), "cuda99")


@pytest.mark.parametrize("testing", [True, False])
def test_encoders_are_hidden_from_tests_only(testing: bool) -> None:
    hiding = Settings(testing=testing, hidden_encoders="libx264,ffv1")
    hidden = set(ask(Settings(), "cpu0").encoders) - set(ask(hiding, "cpu0").encoders)
    assert hidden == ({"libx264", "ffv1"} if testing else set())


def test_a_device_that_cannot_be_asked_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match=r"abacus0: .*not a device's name"):
        ask(Settings(), "abacus0")


def test_a_process_that_does_not_start_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(FarmError, match=r"cpu0: .*/nowhere/python") as caught:
        ask(Settings(), "cpu0")
    assert not isinstance(caught.value, DeviceError)  # with which the supervisor would give up
