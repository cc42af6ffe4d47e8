"""The runtimes of detectors: what runs a model on a worker, with the precision that it computes in.

Detections depend on both, so a job has exactly one runtime, fixed when it is submitted and part of the fingerprint of
its detections.
"""

from collections.abc import Collection

#: Fastest first. The part before the hyphen is what runs the model, the rest its precision.
RUNTIMES = ("cuda-tf32", "cuda-f32", "openvino-bf16", "openvino-f32", "onnxruntime-f32")
#: Names of a runtime in any precision.
FAMILIES = tuple(dict.fromkeys(name.partition("-")[0] for name in RUNTIMES))


def fastest(offered: Collection[str], asked: str | None = None) -> str | None:
    """The fastest of the runtimes ``offered``; None if there is none. ``asked``: only this one, or of this family."""
    return next((r for r in RUNTIMES if r in offered and asked in (None, r, r.partition("-")[0])), None)
