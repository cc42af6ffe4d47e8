import logging
import subprocess
import sys

import pytest

from farm.errors import DeviceError, SettingsError
from workers.device import parse_devices
from workers.vision.device import Device, environment


def parse(text: str, gpus: int = 0, families: tuple[str, ...] = ("cuda",), cores: int = 3) -> list[str]:
    found = parse_devices(text, gpus=lambda: gpus, families=lambda: families, cores=lambda: cores)
    return [device.name for device in found]


def test_auto_takes_every_gpu_else_one_worker_a_core() -> None:
    assert parse("auto", gpus=2) == ["cuda0", "cuda1"]
    assert parse("auto") == ["cpu0", "cpu1", "cpu2"]


def test_auto_says_when_it_leaves_gpus_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert parse("auto", gpus=1, families=(), cores=1) == ["cpu0"]
        assert "onnxruntime-gpu" in caplog.text
        assert parse("auto", gpus=1, families=("torch",), cores=1) == ["cpu0"]
    assert "PyTorch can: --devices cuda:0" in caplog.text


def test_lists() -> None:
    assert parse("cpu:2") == ["cpu0", "cpu1"]
    assert parse("cpu") == ["cpu0"]
    assert parse(" cuda:1, cuda:0,cpu:1 ", gpus=2) == ["cuda1", "cuda0", "cpu0"]


@pytest.mark.parametrize("text", ["cpu:500", "cpu:99999999999999999999"])
def test_more_workers_than_a_machine_can_run_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.device.usable_cpus", lambda: 2)
    with pytest.raises(SettingsError, match=rf'^--devices: "{text}" is more than .* use at most cpu:16$'):
        parse(text)
    assert len(parse("cpu:16")) == 16


@pytest.mark.parametrize(
    "text", ["", "gpu", "cpu:0", "cpu:x", "cuda", "cuda:", "cuda:0,", "cpu:1,cpu:1", "cuda:0,cuda:0"]
)
def test_words_that_mean_nothing(text: str) -> None:
    with pytest.raises(SettingsError, match="--devices"):
        parse(text, gpus=1)


def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(DeviceError, match=r"cuda:2 is not there: this host has 2 GPU\(s\)"):
        parse("cuda:0,cuda:2", gpus=2)
    with pytest.raises(DeviceError, match="this host has no GPU"):
        parse("cuda:0")


def test_a_gpu_asked_for_without_cuda_is_never_the_cpu() -> None:
    with pytest.raises(DeviceError, match="neither onnxruntime nor PyTorch has CUDA"):
        parse("cuda:0", gpus=1, families=())
    assert parse("cuda:0", gpus=1, families=("torch",)) == ["cuda0"]


def test_environment_shows_one_gpu_or_none() -> None:
    assert environment(Device("cuda", 3)) == {"CUDA_VISIBLE_DEVICES": "3", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert environment(Device("cpu", 3)) == {"CUDA_VISIBLE_DEVICES": "", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def test_names() -> None:
    assert Device.named("cuda1") == Device("cuda", 1)
    with pytest.raises(SettingsError):
        Device.named("tpu0")


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, workers.device; print(sorted({'cv2', 'numpy', 'onnxruntime', 'av', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("text", ["cpu:500", "cpu:99999999999"])
def test_more_workers_than_the_machine_can_run_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("workers.device.usable_cpus", lambda: 2)
    assert len(parse_devices("cpu:16")) == 16
    with pytest.raises(SettingsError, match=r"more than this machine can run; use at most cpu:16$"):
        parse_devices(text)
