"""Boxes from the outputs of a network, as a user's TOML file describes them."""

from collections.abc import Mapping

import numpy as np

from farm.domain.described import Anchors, Decoding, Description, Grid, Output, Ready
from farm.errors import ModelError
from workers.vision.detectors.anchors import anchors, points
from workers.vision.detectors.base import Candidates
from workers.vision.detectors.centerface import without_doubles
from workers.vision.detectors.sized import Floats


def decode(outputs: Mapping[str, Floats], of: Description, size: tuple[int, int], least: float) -> Candidates:
    """The boxes in one picture of ``size`` (width, height), in its pixels: best first, one per object.

    ``outputs`` are without the batch's dimension. Raises ModelError when they are not as described.
    """
    boxes, scores = _rows(outputs, of.boxes), _activated(outputs, of.scores)
    origin, unit = _reference(of.decoding, size, len(scores))
    _check("boxes", boxes, (len(origin), 4), size)
    _check("scores", scores, (len(origin), len(of.classes)), size)
    if of.objectness:
        likely = _activated(outputs, of.objectness)
        _check("objectness", likely, (len(origin), 1), size)
        scores = scores * likely
        scores = np.sqrt(scores.clip(0, 1)) if of.combined == "root" else scores
    found = []
    for index, kind in enumerate(of.kinds):
        score = scores[:, of.classes.index(kind)].clip(0, 1)
        (at,) = np.nonzero(score >= least)
        plain = _boxes(boxes[at], of.decoding, origin[at], unit[at])
        these = np.column_stack([plain, score[at], np.full(len(at), index)]).astype(np.float32)
        found.append(these[without_doubles(these, of.overlap)])
    every = np.concatenate(found)
    return every[np.argsort(-every[:, 4], kind="stable")]


def _rows(outputs: Mapping[str, Floats], of: Output) -> Floats:
    """The described columns, rows x columns."""
    parts = []
    for name in of.names:
        output = outputs[name]
        if output.ndim < 2:
            parts.append(output.reshape(-1, 1))
        else:
            parts.append(output.reshape(len(output), -1).T if of.transposed else output.reshape(-1, output.shape[-1]))
    if len({part.shape[1] for part in parts}) > 1:
        raise ModelError(f"the outputs {', '.join(of.names)} have {[part.shape[1] for part in parts]} columns")
    first, end = of.columns or (0, None)
    return np.concatenate(parts)[:, first:end]


def _activated(outputs: Mapping[str, Floats], of: Output) -> Floats:
    values = _rows(outputs, of)
    if of.activation == "sigmoid":
        values = (1 / (1 + np.exp(-values))).astype(np.float32)
    elif of.activation == "softmax":
        powers: Floats = np.exp(values - values.max(axis=1, keepdims=True))
        values = powers / powers.sum(axis=1, keepdims=True)
    return values


def _check(what: str, values: Floats, expected: tuple[int, int], size: tuple[int, int]) -> None:
    if values.shape != expected:
        (rows, columns), (all_rows, all_columns) = values.shape, expected
        raise ModelError(
            f"for {size[0]} x {size[1]} pixels its {what} have {rows} rows of {columns} columns, "
            f"described are {all_rows} of {all_columns}"
        )


def _reference(decoding: Decoding, size: tuple[int, int], rows: int) -> tuple[Floats, Floats]:
    """What boxes are told from, and what 1 stands for: x, y and across, down in pixels, a row for each box."""
    match decoding:
        case Anchors():
            found = anchors(*size, decoding.steps, decoding.sizes)
        case Grid():
            found = points(*size, decoding.steps, decoding.per_cell, decoding.point)
        case _:
            ones = (1, 1) if decoding.unit == "pixels" else size
            found = np.tile(np.array([0, 0, *ones], np.float32), (rows, 1))
    return found[:, :2], found[:, 2:]


def _boxes(told: Floats, decoding: Decoding, origin: Floats, unit: Floats) -> Floats:
    """Boxes as x, y, w, h in pixels, from rows of four as the network tells them.

    ``origin`` and ``unit``: x and y of what they are told from, and what 1 stands for across and down.
    """
    first, last = told[:, :2], told[:, 2:]
    match decoding:
        case Anchors(variances=(along, across)):
            centre, extent = origin + first * np.float32(along) * unit, np.exp(last * np.float32(across)) * unit
            return np.hstack([centre - extent / 2, extent])
        case Grid(box="distances"):
            return np.hstack([origin - first * unit, (first + last) * unit])
        case Grid():
            extent = np.exp(last) * unit
            return np.hstack([origin + first * unit - extent / 2, extent])
        case Ready(box="corners"):
            return np.hstack([first, last - first]) * np.tile(unit, 2)
        case Ready(box="centre"):
            return np.hstack([first - last / 2, last]) * np.tile(unit, 2)
    return np.hstack([first, last]) * np.tile(unit, 2)
