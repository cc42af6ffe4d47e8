"""A device that fails: what its libraries really say is acted out by sessions that raise it."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from farm.errors import DeviceError, DeviceLost, OutOfMemory
from workers.vision.detectors import centerface
from workers.vision.detectors.failing import device_failure
from workers.vision.detectors.onnxruntime_session import OnnxRuntimeSession
from workers.vision.detectors.session import open_session
from workers.vision.detectors.sized import SizedSession
from workers.vision.device import Device

CPU, GPU = Device("cpu", 0), Device("cuda", 1)

#: As onnxruntime-gpu, PyTorch, TensorRT, CUDA and the driver write them.
ORT_ARENA = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. "
    "Name:'Conv_0' Status Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* "
    "onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory for requested buffer of size "
    "150994944"
)
ORT_CUDA = (
    "[ONNXRuntimeError] : 1 : FAIL : CUDA failure {0} ; GPU=0 ; hostname=host ; "
    "file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_allocator.cc ; line=47 ; "
    "expr=cudaMalloc((void**)&p, size);"
)
TORCH_FULL = (
    "CUDA out of memory. Tried to allocate 576.00 MiB. GPU 0 has a total capacity of 23.68 GiB of which 120.19 MiB is "
    "free. Process 4242 has 22.10 GiB memory in use."
)
TORCH = (
    "CUDA error: {0}\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace "
    "below might be incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1."
)
FULL = [
    ORT_ARENA,
    ORT_CUDA.format("2: out of memory"),
    "Available memory of 0 is smaller than requested bytes of 37748736",
    TORCH_FULL,
    TORCH.format("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "CUDNN failure 2: CUDNN_STATUS_ALLOC_FAILED ; GPU=0",
    "[defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)",
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8",
    "std::bad_alloc",
]
LOST = [
    ORT_CUDA.format("719: unspecified launch failure"),
    ORT_CUDA.format("100: no CUDA-capable device is detected"),
    ORT_CUDA.format("999: unknown error"),
    TORCH.format("an illegal memory access was encountered"),
    TORCH.format("uncorrectable ECC error encountered"),
    TORCH.format("the launch timed out and was terminated"),
    "NVML: GPU is lost",
]
TAKEN = [
    ORT_CUDA.format("46: all CUDA-capable devices are busy or unavailable"),
    TORCH.format("CUDA-capable device(s) is/are busy or unavailable"),
]
OTHER = ["Input channels C is not equal to kernel channels * group", TORCH.format("invalid argument")]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An nvidia-smi that lists nothing."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return program


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    ("texts", "kind", "line"),
    [
        (FULL, OutOfMemory, "the memory of cuda1 is full"),
        (LOST, DeviceLost, "cuda1 does not answer any more: "),
        (TAKEN, DeviceLost, "cuda1 is taken by another process"),
        (OTHER, DeviceError, "the model cannot be run on cuda1: "),
    ],
)
def test_what_a_library_says_becomes_one_line(texts: list[str], kind: type[DeviceError], line: str) -> None:
    for text in texts:
        error = device_failure(GPU, RuntimeError(text), "the model cannot be run")
        assert type(error) is kind, text
        assert str(error).startswith(line), text
        assert "\n" not in str(error)
        assert len(str(error)) < 500
        assert not error.permanent  # another worker may be able to


def test_the_line_names_who_holds_the_memory(driver: Path) -> None:
    driver.write_text("#!/bin/sh\n[ $1 = --id=1 ] && echo '4242, 70000 MiB, /usr/bin/python3'\n")
    for text in (TORCH_FULL, TAKEN[0]):
        error = device_failure(GPU, RuntimeError(text), "the model cannot be run")
        assert "the driver lists 4242, 70000 MiB, /usr/bin/python3" in str(error)


def test_a_cpu_is_never_lost() -> None:
    assert type(device_failure(CPU, RuntimeError(LOST[0]), "the model cannot be run")) is DeviceError
    assert type(device_failure(CPU, MemoryError(), "the model cannot be run")) is OutOfMemory


PICTURES = [np.full((32, 64, 3), number, np.uint8) for number in range(11)]


class Gpu:
    """Acts as onnxruntime's session on a GPU: it has room for batches of ``fits`` pictures, and says what it saw."""

    fits = 8
    text = ORT_ARENA
    ran: list[int] = []  # noqa: RUF012 - of all sessions of a test

    def __init__(self, model: bytes, *_: object, **__: object) -> None:
        self._batch = int(model)

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider"]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        return {"CUDAExecutionProvider": {"use_tf32": "0"}}

    def get_inputs(self) -> list[Any]:
        return [type("Input", (), {"name": "in"})]

    def run(self, _: None, given: dict[str, Any]) -> list[Any]:
        batch = given["in"]
        assert len(batch) == self._batch
        self.ran.append(len(batch))
        if len(batch) > self.fits:
            raise RuntimeError(self.text)
        return [batch[:, 0, 0, :1].astype(np.float32), batch[:, :2, 0, 0].reshape(-1, 1).astype(np.float32)]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, driver: Path) -> type[Gpu]:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr("onnxruntime.InferenceSession", Gpu)
    monkeypatch.setattr(Gpu, "ran", [])
    return Gpu


def session() -> SizedSession:
    return SizedSession(lambda batch, *_: str(batch).encode(), GPU, 1, "cuda-f32")


@pytest.mark.parametrize(
    ("fits", "ran", "told"),
    [(8, [8, 8], 0), (5, [8, 4, 4, 4], 1), (2, [8, 4, *[2] * 6], 2), (1, [8, 4, 2, *[1] * 11], 3)],
)
def test_a_batch_is_halved_until_it_fits_and_each_halving_is_told_once(
    fits: int, ran: list[int], told: int, gpu: type[Gpu], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(gpu, "fits", fits)
    one = session()
    with caplog.at_level(logging.WARNING):
        found = [[output.ravel().tolist() for output in outputs] for outputs in one.each(PICTURES)]
    assert found == [[[n], [n, n]] for n in range(11)]  # each picture's own, those without a batch's dimension, too
    assert gpu.ran == ran
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == told
    if told:
        assert lines[0] == "the memory of cuda1 is full with 8 pictures of 64 x 32 pixels; 4 at a time from now on"
    assert one.batch_size == 8 >> told
    list(one.each(PICTURES[:1]))
    assert len(caplog.records) == told  # it stays so


def test_one_picture_that_does_not_fit_is_an_error_and_nothing_else_is_tried(
    gpu: type[Gpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "fits", 0)
    line = "the memory of cuda1 is full: one picture of 64 x 32 pixels is too large for it (close what else uses it"
    with pytest.raises(OutOfMemory) as caught:
        list(session().each(PICTURES))
    assert str(caught.value).startswith(line)
    assert gpu.ran == [8, 4, 2, 1]


@pytest.mark.parametrize("text", [LOST[0], TAKEN[0], OTHER[0]])
def test_other_failures_are_not_tried_again(text: str, gpu: type[Gpu], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "fits", 0)
    monkeypatch.setattr(gpu, "text", text)
    with pytest.raises(DeviceError) as caught:
        list(session().each(PICTURES))
    assert type(caught.value) is not OutOfMemory
    assert gpu.ran == [8]


def test_memory_that_is_full_while_a_model_is_loaded_halves_too(
    gpu: type[Gpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(model: bytes, *on: Any) -> Any:
        if int(model) > 4:
            raise device_failure(GPU, RuntimeError(TORCH_FULL), "the model cannot be loaded")
        return open_session(model, *on)

    monkeypatch.setattr("workers.vision.detectors.sized.open_session", full)
    assert len(list(session().each(PICTURES))) == 11
    assert gpu.ran == [4, 4, 4]


def test_pytorchs_own_error_halves_a_batch(monkeypatch: pytest.MonkeyPatch, packaged: Any) -> None:
    """On its CPU build, whose graph raises what PyTorch raises on a GPU."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from workers.vision.detectors.torch_graph import TorchGraph  # noqa: PLC0415 - skipped where there is no PyTorch

    class Full(TorchGraph):
        def __call__(self, given: Any) -> Any:
            if len(given) > 2:
                raise torch.OutOfMemoryError(TORCH_FULL)
            return super().__call__(given)

    monkeypatch.setattr("workers.vision.detectors.torch_session.TorchGraph", Full)
    network = centerface.CenterFace(packaged("centerface").read_bytes(), CPU, 1, "torch-cpu-f32")
    network._session.batch_size = 4
    pictures = [np.random.default_rng(n).integers(0, 256, (64, 96, 3), dtype=np.uint8) for n in range(5)]
    in_pairs = network.find(pictures, 0.0)
    assert network._session.batch_size == 2
    monkeypatch.undo()
    alone = centerface.CenterFace(packaged("centerface").read_bytes(), CPU, 1, "torch-cpu-f32").find(pictures, 0.0)
    for mine, other in zip(in_pairs, alone, strict=True):
        assert mine == pytest.approx(other, abs=1e-3)


def test_memory_of_a_session_is_free_before_the_next_one_is_made(
    gpu: type[Gpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[int] = []

    class Counted(OnnxRuntimeSession):
        def __init__(self, *given: Any) -> None:
            alive.append(1)
            assert len(alive) == 1
            super().__init__(*given)

        def __del__(self) -> None:
            alive.pop()

    monkeypatch.setattr("workers.vision.detectors.onnxruntime_session.OnnxRuntimeSession", Counted)
    monkeypatch.setattr(gpu, "fits", 2)
    assert len(list(session().each(PICTURES))) == 11
