"""A recogniser in an ONNX file: one with declared weights, or a user's own, with a TOML file beside it or without.

See ``docs/howto/choose-whom.md``.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from textwrap import shorten

import numpy as np

from farm.domain.recognisers import Input, NamedRecogniser, described_recogniser
from farm.errors import ModelError
from workers.vision.detectors.base import Picture
from workers.vision.detectors.graph import InputForm, inputs_of, load_graph, with_fixed_shape
from workers.vision.detectors.sized import SizedSession
from workers.vision.recognisers.base import Site, Vectors, unit

_HELP = "see docs/howto/choose-whom.md"
_USUAL = 112  # pixels: the side of a network's pictures where its file does not say
_FEWEST = 16  # numbers of a vector: a network with fewer is no recogniser


class OnnxRecogniser:
    """A network of one output, a vector for each picture, on one device."""

    def __init__(self, model: bytes, form: Input, site: Site) -> None:
        """Runs the network once. Raises ModelError when it is none such, DeviceError."""
        proto = load_graph(model)
        (given,) = inputs_of(proto)
        shape = dict(zip(form.layout, given.type.tensor_type.shape.dim, strict=True))
        if shape["C"].dim_value not in (0, 3):
            raise ModelError(f"its input is not {form.layout} with three channels")
        self.size = shape["W"].dim_value or _USUAL, shape["H"].dim_value or _USUAL
        outputs = [output.name for output in proto.graph.output]
        if len(outputs) != 1:
            raise ModelError(f"it has the outputs {outputs}, not one vector")
        takes = InputForm(form.channels, form.layout, form.mean, form.scale)
        sized = partial(with_fixed_shape, model, outputs, takes)
        several = not shape["N"].dim_value
        self._session = SizedSession(sized, site.device, site.threads, site.runtime, batched=several)
        (tried,) = self._run([np.full((*self.size[::-1], 3), 128, np.uint8)])
        if len(tried) < _FEWEST:
            raise ModelError(f"its output has {len(tried)} numbers for a face: that is no vector of a recogniser")

    def vectors(self, faces: Sequence[Picture]) -> Vectors:
        """See :meth:`workers.vision.recognisers.base.Recogniser.vectors`."""
        return unit(self._run(faces))

    def _run(self, faces: Sequence[Picture]) -> Vectors:
        return np.stack([outputs[0].ravel() for outputs in self._session.each(faces)]).astype(np.float32)


def create(named: NamedRecogniser, site: Site) -> OnnxRecogniser:
    """The recogniser of declared weights, or that in the file that stands after ``onnx:``.

    Raises ModelError: which file is missing or wrong, and how; DeviceError.
    """
    declared = named.recogniser
    if declared.weights is not None:
        return OnnxRecogniser(site.weights(declared.weights.name).read_bytes(), declared.form, site)
    path = Path(named.argument)
    try:
        model, form = path.read_bytes(), declared.form
        if (beside := path.with_suffix(".toml")).exists():
            form, _ = described_recogniser(beside.read_text(encoding="utf-8"), declared)
        return OnnxRecogniser(model, form, site)
    except OSError as e:
        raise ModelError(f"{e.filename}: {e.strerror}", hint=_HELP) from e
    except ValueError as e:  # also of a file that is not UTF-8
        raise ModelError(f"{path.with_suffix('.toml')}: {e}", hint=_HELP) from e
    except ModelError as e:
        said = shorten(e.message, 300)  # a runtime may take many lines
        raise ModelError(f"{path} is no recogniser that can be used: {said}", hint=_HELP) from e
