"""The decoder inside an exported page: one input, codes; out come pictures in [0, 1], numbers in their own units, or prepared columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.artifact import Artifact
from isthmus.artifact.onnx.graphs import CODES, MEANS, Decoder
from isthmus.artifact.onnx.tracing import checked, written
from isthmus.data import ColumnsPreprocessor
from isthmus.data.kinds import OTHER, UNSEEN
from isthmus.errors import ConfigError
from isthmus.explorer.detected import DetectorSubject
from isthmus.explorer.model import ModelSubject
from isthmus.explorer.subject import Array, Subject
from isthmus.fields import part_slices

CURVE = 129  # knots of a curve
FAR = 100.0  # times its range a column of plain numbers may go beyond it
SHOWN = 5
Decoding = dict[str, Any]


class PageDecoder(Decoder):
    """A model's decoder with the scaling of its output.

    Parameters
    ----------
    artifact : Artifact
    scale, shift : ndarray
        What its means are multiplied by, and what is added then.
    """

    def __init__(self, artifact: Artifact, scale: Array, shift: Array) -> None:
        super().__init__(artifact)
        self.scale, self.shift = _tensor(scale), _tensor(shift)

    def compute(self, x: Tensor) -> Tensor:
        """Return the scaled means."""
        return super().compute(x) * self.scale + self.shift


class PagePlane(Decoder):
    """What stands for a decoder where rows lie on a plane: principal components and their mean.

    Parameters
    ----------
    axes : ndarray of shape (L, d)
    centre : ndarray of shape (d,)
    """

    takes, gives = CODES, MEANS

    def __init__(self, axes: Array, centre: Array) -> None:
        torch.nn.Module.__init__(self)
        self.axes, self.centre = _tensor(axes), _tensor(centre)

    def compute(self, x: Tensor) -> Tensor:
        """Return the points of the plane."""
        return x @ self.axes + self.centre


def decoder(subject: Subject) -> bytes:
    """Return the decoder of a subject as ONNX, compared with torch in ONNX Runtime.

    Raises
    ------
    ConfigError
        If there is none.
    ArtifactError, MissingExtraError
        If it cannot be written, or onnx is not installed.
    """
    graph = _graph(subject)
    some = (_tensor(subject.codes[:SHOWN]),)
    found = written(graph, some)
    checked(graph, found, some)
    return found


def _graph(subject: Subject) -> Decoder:
    if isinstance(subject, ModelSubject):
        return PageDecoder(subject.artifact, *_scaling(subject)).eval()
    if not isinstance(subject, DetectorSubject):
        raise ConfigError(f"the family {subject.family!r} cannot be put into a page")
    layout = subject.detector.layout
    centre, axes, _ = subject.axes
    if isinstance(layout.preprocessor, ColumnsPreprocessor):
        full = np.zeros((len(layout.kept), layout.preprocessor.width))
        full[np.arange(len(layout.kept)), layout.kept] = 1.0
        return PagePlane(axes @ full, centre @ full).eval()
    divisor, offset = _affine(layout.preprocessor)
    return PagePlane(axes * divisor, centre * divisor + offset).eval()


def _scaling(subject: ModelSubject) -> tuple[Array, Array]:
    """Return factor and summand from the model's means to what a page shows."""
    artifact = subject.artifact
    if isinstance(artifact.preprocessor, ColumnsPreprocessor):
        return np.ones(1), np.zeros(1)
    divisor, offset = _affine(artifact.preprocessor)
    if subject.contents.kind != "picture":
        return divisor, offset
    if artifact.schema.dtype in ("uint8", "uint16"):
        largest = float(np.iinfo(artifact.schema.dtype).max)
        return divisor / largest, offset / largest
    return (np.full(1, 1 / 6), np.full(1, 0.5)) if artifact.field.support == "real" else (np.ones(1), np.zeros(1))


def _affine(preprocessor: Any) -> tuple[Array, Array]:
    arrays = preprocessor.state()[1]
    return arrays["divisor"], arrays["offset"]


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))  # pyright: ignore[reportUnknownMemberType]


def decoding(subject: Subject) -> Decoding:
    """Return how a page makes contents of what its decoder gives."""
    schema = subject.contents.schema
    if subject.contents.kind == "picture":
        return {"kind": "picture", "shape": list(schema.shape)}
    if subject.contents.kind == "numbers":
        return {"kind": "numbers", "names": None, "knots": None}
    preprocessor = subject.artifact.preprocessor if isinstance(subject, ModelSubject) else getattr(subject, "detector").layout.preprocessor  # noqa: B009
    if not isinstance(preprocessor, ColumnsPreprocessor):
        return {"kind": "table", "columns": [_plain(name, j, subject.contents.limits[:, j]) for j, name in enumerate(schema.columns)]}
    return {"kind": "table", "columns": columns(preprocessor)}


def _plain(name: str, start: int, limits: Array) -> Decoding:
    low, high = map(float, limits)
    room = FAR * ((high - low) or 1.0)
    ends = [low - room, high + room]
    return _column(name, "number", start, 1, "interp", knots={"x": ends, "y": ends}, low=low, high=high)


def _column(name: str, kind: str, start: int, width: int, how: str, **more: Any) -> Decoding:
    return {"name": name, "kind": kind, "start": start, "width": width, "how": how, "levels": None, "knots": None, **more}


def columns(preprocessor: ColumnsPreprocessor) -> list[Decoding]:
    """Return where each column of a mixed table lies in a prepared row, and how it comes back from there."""
    entry, arrays = preprocessor.state()
    field = preprocessor.fields()[0]
    starts: dict[str, int] = {}
    for part, place in zip(field.parts, part_slices(field.parts)):
        starts.setdefault(part.column, int(place.start))
    found: list[Decoding] = []
    for j, (column, coder) in enumerate(zip(preprocessor.schema.used, entry["coders"])):
        own = {name.partition(".")[2]: values for name, values in arrays.items() if name.startswith(f"{j}.")}
        head = (column.name, column.kind, starts[column.name])
        if coder["kind"] == "truth":
            found.append(_column(*head, 1, "threshold", levels=["false", "true"]))
        elif coder["kind"] == "slots":
            found.append(_column(*head, coder["width"], "argmax", levels=_levels(column.categories, coder, own["slots"])))
        else:
            low, high = map(float, preprocessor.limits[:, j])
            more = {"low": low, "high": high, "whole": column.whole or column.kind == "count", "decimals": column.decimals}
            found.append(_column(*head, 1, "interp", knots=_knots(coder, own, low, high), **more))
    return found


def _levels(categories: tuple[str, ...], coder: dict[str, Any], slots: Array) -> list[str]:
    """Return the category of each slot."""
    found = [UNSEEN] * coder["width"]
    for name, slot in zip(categories, slots.tolist()):
        found[slot] = name
    if coder["shared"]:
        found[-1] = OTHER
    return [UNSEEN, *found[1:]]


def _knots(coder: dict[str, Any], arrays: dict[str, Array], low: float, high: float) -> dict[str, list[float]]:
    """Return knots between which a number comes back in straight lines, from the smallest to the largest of the training rows."""
    if not high > low:
        return {"x": [0.0, 1.0], "y": [low, low]}
    scaled, values = _curve(coder, arrays, low, high)
    rising = np.concatenate([[True], np.diff(scaled) > 0])
    return {"x": scaled[rising].tolist(), "y": values[rising].tolist()}


def _curve(coder: dict[str, Any], arrays: dict[str, Array], low: float, high: float) -> tuple[Array, Array]:
    """Return prepared values of a column, ascending, and what they stand for."""
    offset, divisor = float(coder.get("offset", 0.0)), float(coder.get("divisor", 1.0))
    if coder["kind"] == "quantiles":
        knots = arrays["knots"]
        values = np.concatenate([[low], knots[(knots > low) & (knots < high)], [high]])
        return np.asarray(np.interp(values, knots, arrays["scores"])), values
    if coder.get("count"):
        logarithms: Array = np.linspace(float(np.log1p(max(low, 0.0))), float(np.log1p(high)), CURVE)
        return (logarithms - offset) / divisor, np.expm1(logarithms)
    values = np.array([low, high])
    return (values - offset) / divisor, values
