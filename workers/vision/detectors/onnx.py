"""A network that a user brings: an ONNX file, and beside it a TOML file that describes it.

See :mod:`farm.domain.described` and ``docs/howto/bring-a-detector.md``.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from textwrap import shorten

import cv2
import numpy as np

from farm.domain.described import Description, described
from farm.domain.detectors import Named
from farm.errors import ModelError
from workers.vision.detectors.base import Candidates, Picture
from workers.vision.detectors.decoding import decode
from workers.vision.detectors.graph import InputForm, inputs_of, load_graph, with_fixed_shape
from workers.vision.detectors.sized import SizedSession
from workers.vision.device import Device

_HELP = "see docs/howto/bring-a-detector.md"
_TRIED = 192, 128  # pixels: about the size that a network that takes any is tried with


class Described:
    """A network as its TOML file describes it, on one device. ``thresholds`` are by kind."""

    def __init__(self, model: bytes, description: Description, device: Device, threads: int, runtime: str) -> None:
        """Runs the network once. Raises ModelError when it and its description do not fit."""
        self._is = description
        self.kinds, self.thresholds = description.kinds, description.thresholds
        self.multiple = 1 if description.size else description.multiple
        self._names = _outputs(description)
        several = _takes_several(model, description)
        form = InputForm(description.channels, description.layout, description.mean, description.scale)
        sized = partial(with_fixed_shape, model, self._names, form)
        self._session = SizedSession(sized, device, threads, runtime, batched=several)
        self.batch_size = self._session.batch_size
        width, height = description.size or (-(-side // self.multiple) * self.multiple for side in _TRIED)
        self.find([np.full((height, width, 3), 128, np.uint8)], 0.5)

    def find(self, pictures: Sequence[Picture], least: float) -> list[Candidates]:
        """See :meth:`workers.vision.detectors.base.Network.find`."""
        height, width = pictures[0].shape[:2]
        size, shown = self._is.size or (width, height), pictures
        if self._is.size:
            shown = [_fitted(picture, size, self._background) for picture in pictures]
        scale = min(size[0] / width, size[1] / height)
        found = []
        for outputs in self._session.each(shown):
            boxes = decode(dict(zip(self._names, outputs, strict=True)), self._is, size, least)
            boxes[:, :4] /= scale
            centres = boxes[:, :2] + boxes[:, 2:4] / 2
            found.append(boxes[((centres >= 0) & (centres < (width, height))).all(axis=1)])  # none beside the picture
        return found

    @property
    def _background(self) -> tuple[float, ...]:
        """The grey beside a fitted picture, BGR: what the network takes for nothing."""
        mean = [value if 0 <= value <= 255 else 0.0 for value in self._is.mean]
        return tuple(mean if self._is.channels == "BGR" else mean[::-1])


def create(_weights: Path | None, named: Named, device: Device, threads: int, runtime: str) -> Described:
    """The network in the file that stands after ``onnx:``, described by the TOML file of the same name.

    Raises ModelError: which of both is missing or wrong, and how.
    """
    path = Path(named.argument)
    beside = path.with_suffix(".toml")
    try:
        model, text = path.read_bytes(), beside.read_text(encoding="utf-8")
        return Described(model, described(text), device, threads, runtime)
    except OSError as e:
        raise ModelError(f"{e.filename}: {e.strerror}", hint=_HELP) from e
    except ValueError as e:  # also of a file that is not UTF-8
        raise ModelError(f"{beside}: {e}", hint=_HELP) from e
    except ModelError as e:
        said = shorten(e.message, 300)  # a runtime may take many lines
        raise ModelError(f"{path} does not fit {beside.name}: {said}", hint=_HELP) from e


def _outputs(of: Description) -> tuple[str, ...]:
    """The names of all outputs that are read, each once."""
    used = [of.boxes, of.scores, *([of.objectness] if of.objectness else [])]
    return tuple(dict.fromkeys(name for output in used for name in output.names))


def _takes_several(model: bytes, of: Description) -> bool:
    """Whether the file takes more than one picture at a time. Raises ModelError where its input is not as described."""
    (given,) = inputs_of(load_graph(model))
    shape = dict(zip(of.layout, given.type.tensor_type.shape.dim, strict=True))
    declared = shape["W"].dim_value, shape["H"].dim_value
    if of.size and any(is_ and is_ != told for is_, told in zip(declared, of.size, strict=True)):
        raise ModelError(f"it takes {declared[0]} x {declared[1]} pixels, not {of.size[0]} x {of.size[1]}")
    if shape["C"].dim_value not in (0, 3):
        raise ModelError(f"its input is not {of.layout} with three channels")
    return not shape["N"].dim_value


def _fitted(picture: Picture, size: tuple[int, int], background: Sequence[float]) -> Picture:
    """The picture scaled to fit into ``size`` (width, height), at its left upper corner."""
    height, width = picture.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inside = max(1, round(width * scale)), max(1, round(height * scale))
    whole = np.empty((size[1], size[0], 3), np.uint8)
    whole[:] = np.array(background).round()
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cv2.resize(picture, inside, whole[: inside[1], : inside[0]], interpolation=how)
    return whole
