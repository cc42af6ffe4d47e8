"""The runtimes of detectors: what runs a model on a worker, with the precision that it computes in.

Detections depend on both, so a job has exactly one runtime, fixed when it is submitted and part of the fingerprint of
its detections.
"""

from collections.abc import Collection

#: The first that is offered is a job's, unless the user names one: fastest first, of those whose boxes were compared.
#: Half precision comes last, and so is only used where it is asked for: nobody has compared its boxes on a GPU.
#: The part before the hyphen is what runs the model, the rest its precision, and where torch runs it.
RUNTIMES = (
    "cuda-tf32",
    "cuda-f32",
    "torch-cuda-tf32",
    "torch-cuda-f32",
    "openvino-bf16",
    "openvino-f32",
    "onnxruntime-f32",
    "torch-cpu-f32",
    "tensorrt-f16",
    "torch-cuda-f16",
)
#: Names of a runtime in any precision.
FAMILIES = tuple(dict.fromkeys(name.partition("-")[0] for name in RUNTIMES))


def fastest(offered: Collection[str], asked: str | None = None) -> str | None:
    """The first of the runtimes ``offered``; None if there is none. ``asked``: only this one, or of this family."""
    return next((r for r in RUNTIMES if r in offered and asked in (None, r, r.partition("-")[0])), None)


def needs_gpu(runtime: str) -> bool:
    """Whether a runtime computes on a GPU; the others compute on a CPU."""
    return runtime.startswith("tensorrt-") or "cuda" in runtime.split("-")


def precision_of(runtime: str) -> str:
    """What a runtime computes in: ``f32``, ``tf32``, ``bf16`` or ``f16``."""
    return runtime.rpartition("-")[2]
