"""One page that works without a server: map, rows and decoder inside."""

from __future__ import annotations

import base64
import gzip
import html
import json
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.artifact import Artifact
from isthmus.data import Schema
from isthmus.errors import ConfigError
from isthmus.explorer import colours, graph, maps
from isthmus.explorer.answers import STRANGEST, Answers
from isthmus.explorer.server import STATIC, TEMPLATE
from isthmus.explorer.sheet import SIDE, Sheet
from isthmus.explorer.subject import Array, Subject
from isthmus.files import atomic_path
from isthmus.tasks.detector import Detector
from isthmus.tasks.values import told, values_of

ROWS = 5_000
ROOM = 8 << 20  # bytes of all codes, and of all thumbnails, before they are packed
BUDGET = 15_000_000  # bytes of a page of a small model without its rows
TILE = 64
COLOURS = 60
DATA, TITLE = "__ISTHMUS_DATA__", "__ISTHMUS_TITLE__"


@dataclass(frozen=True)
class Written:
    """A page that was written.

    Attributes
    ----------
    path : Path
    size : int
        Its bytes.
    data : int
        How many of them are the rows: codes, maps, colours, thumbnails.
    notes : list of str
    """

    path: Path
    size: int
    data: int
    notes: list[str] = field(default_factory=list[str])


def most_rows(model: Artifact | Detector) -> int:
    """Return how many rows a page of this model may hold at most: 5,000, fewer where codes or pictures are large."""
    schema = model.schema if isinstance(model, Artifact) else model.layout.schema
    wide = 4 * (model.model.latent if isinstance(model, Artifact) else 16)
    tile = _tile(schema) if schema.kind == "pictures" else 1
    return max(100, min(ROWS, ROOM // wide, ROOM // tile))


def _tile(schema: Schema) -> int:
    height, width, channels = schema.shape
    ratio = min(1.0, TILE / max(height, width))
    return prod((round(height * ratio), round(width * ratio), channels))


def write(answers: Answers, out: Path) -> Written:
    """Write a page with everything in it, beside first, then renamed.

    Parameters
    ----------
    answers : Answers
        Of at most `most_rows` rows.
    out : Path

    Returns
    -------
    Written

    Raises
    ------
    ConfigError
        If the page's template is missing, or the code is too wide for a page.
    ArtifactError, MissingExtraError
        If the decoder cannot be written as ONNX.
    DataError
        If the file cannot be written.
    """
    template = _template()
    found = bundle(answers)
    packed = packed_text(found)
    page = template.replace(TITLE, html.escape(f"{answers.subject.name} · isthmus")).replace(DATA, packed)
    with atomic_path(out) as beside:
        beside.write_text(page, encoding="utf-8")
    decoder = len(packed_text({"models": found["models"]}))
    size = len(page.encode())
    return Written(out, size, len(packed) - decoder, _notes(answers.subject, size - len(packed) + decoder))


def _notes(subject: Subject, bare: int) -> list[str]:
    notes = ["the page holds these rows and the decoder: whoever has the page can read both"]
    if bare > BUDGET:
        notes.append(f"the page has {bare / 1e6:.1f} MB without its rows, for the decoder is large: some mail servers refuse such files")
    if subject.rows.total > len(subject):
        notes.append(f"it shows a random sample of {len(subject):,} of the {subject.rows.total:,} rows")
    return notes


def _template() -> str:
    path = STATIC / TEMPLATE
    if not path.is_file():
        raise ConfigError(f"the page's template {path.name} is not built: see explorer/README.md in the sources")
    found = path.read_text(encoding="utf-8")
    if found.count(DATA) != 1 or found.count(TITLE) != 1:
        raise ConfigError(f"the page's template {path.name} has not one place each for title and data: build it again")
    return found


def packed_text(found: dict[str, Any]) -> str:
    """Return a bundle as text without line ends: JSON, packed by gzip, in base64."""
    plain = json.dumps(found, separators=(",", ":"), allow_nan=False).encode()
    return base64.b64encode(gzip.compress(plain, 9, mtime=0)).decode("ascii")


def unpacked(text: str) -> dict[str, Any]:
    """Return what `packed_text` packed.

    Examples
    --------
    >>> unpacked(packed_text({"a": 1}))
    {'a': 1}
    """
    return json.loads(gzip.decompress(base64.b64decode(text)))


def bundle(answers: Answers) -> dict[str, Any]:
    """Return everything that a page needs."""
    subject = answers.subject
    about = answers.about()
    about["colours"] = about["colours"][:COLOURS]
    anomalies = {**answers.anomalies(STRANGEST), "scores": ""}
    return {
        "about": {**about, "maps_missing": {}},
        "maps": {name: _floats(maps.make(name, subject.codes)) for name in about["maps"]},
        "codes": _floats(subject.codes),
        "colours": {entry["name"]: _floats(colours.values(subject, entry["name"])) for entry in about["colours"]},
        "sheet": _sheet(subject),
        "inputs": inputs(subject),
        "scores": _floats(subject.scores),
        "anomalies": anomalies,
        "models": {"encoder": "", "decoder": base64.b64encode(graph.decoder(subject)).decode("ascii"), "score": None},
        "decoding": graph.decoding(subject),
    }


def _sheet(subject: Subject) -> dict[str, Any] | None:
    if subject.contents.kind != "picture":
        return None
    sheet = Sheet(subject, max(SIDE, TILE), len(subject))
    return sheet.told("data:image/png;base64," + base64.b64encode(sheet.whole).decode("ascii"))


def inputs(subject: Subject) -> dict[str, Any] | None:
    """Return the rows themselves: numbers as they are, a table as texts; pictures are on the sheet."""
    if subject.contents.kind == "picture":
        return None
    if subject.contents.kind == "numbers":
        return {"names": None, "values": _floats(subject.matrix)}
    values = values_of(subject.contents.schema, subject.matrix, subject.rows.source)
    texts = [[None if value is None else told(value) for value in values[name]] for name in subject.contents.schema.columns]
    return {"cells": [list(row) for row in zip(*texts)]}


def _floats(values: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode("ascii")
