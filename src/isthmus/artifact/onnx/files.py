"""The files of a model's graphs, and the page of text that says how to use them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isthmus.artifact.artifact import Artifact
from isthmus.artifact.onnx.describe import prepared, score_told, used
from isthmus.artifact.onnx.graphs import CONDITION, Decoder, Encoder, Graph, Score
from isthmus.artifact.onnx.tracing import OPSET, checked, names, written
from isthmus.errors import ArtifactError
from isthmus.files import atomic_path

FORMAT, VERSION, TEXT = "isthmus-onnx", 1, "model.json"
TRACED, SHOWN = 3, 5
GRAPHS: dict[str, type[Graph]] = {"encoder": Encoder, "decoder": Decoder, "score": Score}


@dataclass(frozen=True)
class Exported:
    """A model's graphs.

    Attributes
    ----------
    graphs : dict of str to bytes
        ONNX files by ``"encoder"``, ``"decoder"``, ``"score"``; the last is left out where ONNX has no words for it.
    entry : dict
        How to use them, in plain JSON types: names and shapes, what rows must look like, differences measured, conditions of use.
    """

    graphs: dict[str, bytes]
    entry: dict[str, Any] = field(default_factory=dict[str, Any])


def exported(artifact: Artifact) -> Exported:
    """Write a model's graphs, and compare each with the model in ONNX Runtime.

    Parameters
    ----------
    artifact : Artifact
        On the CPU.

    Returns
    -------
    Exported

    Raises
    ------
    ArtifactError
        If encoder or decoder cannot be written, or give other results than the model.
    MissingExtraError
        If onnx or onnxruntime are not installed.
    """
    graphs: dict[str, bytes] = {}
    told: dict[str, Any] = {}
    missing = ""
    for name, kind in GRAPHS.items():
        graph = kind(artifact).eval()
        try:
            graphs[name], told[name] = _one(artifact, name, graph)
        except ArtifactError as error:
            if name != "score":
                raise
            missing = str(error)
    return Exported(graphs, _entry(artifact, told, missing))


def _one(artifact: Artifact, name: str, graph: Graph) -> tuple[bytes, dict[str, Any]]:
    data = written(graph, _inputs(artifact, graph, TRACED, seed=0))
    given = _inputs(artifact, graph, SHOWN, seed=1)
    apart = checked(graph, data, given)
    with torch.no_grad():
        made = graph(*given)
    told = {
        "file": f"{name}.onnx",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "inputs": [_told(key, part) for key, part in zip(names(graph, given), given)],
        "output": _told(graph.gives, made),
        "largest difference from torch": apart,
    }
    return data, told


def _told(name: str, part: Tensor) -> dict[str, Any]:
    return {"name": name, "type": "float32", "shape": ["n", *part.shape[1:]]}


def _inputs(artifact: Artifact, graph: Graph, count: int, seed: int) -> tuple[Tensor, ...]:
    """Return codes, or rows that the model makes of them, and conditions if it knows one."""
    model, width = artifact.model, artifact.model.condition
    codes = torch.randn(count, model.latent, generator=torch.Generator().manual_seed(seed))
    known = artifact.condition
    if known is not None:
        codes[:, -width:] = torch.from_numpy(known.nearest(codes[:, -width:].numpy()))  # pyright: ignore[reportUnknownMemberType]
    condition = (codes[:, -width:],) if width else ()
    if isinstance(graph, Decoder):
        return (codes[:, : model.latent - width], *condition)
    with torch.no_grad():
        return (artifact.bare(model.decode(codes).mean).contiguous(), *condition)


def _entry(artifact: Artifact, told: dict[str, Any], missing: str) -> dict[str, Any]:
    known = artifact.condition
    return {
        "format": FORMAT,
        "version": VERSION,
        "isthmus": artifact.facts.get("isthmus", ""),
        "family": artifact.family,
        "opset": OPSET,
        "graphs": told,
        "code": artifact.model.latent - artifact.model.condition,
        "rows": prepared(artifact),
        CONDITION: None if known is None else known.to_json(),
        "score": missing or score_told(artifact),
        "use": used(artifact),
    }


def to_bytes(artifact: Artifact) -> dict[str, bytes]:
    """Return a model's graphs as ONNX files in memory.

    Parameters
    ----------
    artifact : Artifact

    Returns
    -------
    dict of str to bytes
        ``"encoder"``, ``"decoder"``, and ``"score"`` unless ONNX has no words for it; errors as for `exported`.
    """
    return exported(artifact).graphs


def export(artifact: Artifact, folder: str | Path) -> dict[str, Path | None]:
    """Write a model's graphs into a folder: ``encoder.onnx``, ``decoder.onnx``, ``score.onnx``, and ``model.json`` that describes them.

    Parameters
    ----------
    artifact : Artifact
    folder : str or Path
        Made if it is not there; files of these names in it are replaced, each whole or not at all.

    Returns
    -------
    dict of str to Path
        The graphs' files; None for a score that ONNX has no words for.

    Raises
    ------
    ArtifactError
        If encoder or decoder cannot be written, or give other results than the model.
    MissingExtraError
        If onnx or onnxruntime are not installed.
    DataError
        If the folder cannot be written to.

    References
    ----------
    The format: https://onnx.ai/onnx

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from isthmus.data import from_any
    >>> from isthmus.tasks.config import Config
    >>> from isthmus.tasks.fit import fit
    >>> model = fit(from_any(np.random.default_rng(0).normal(size=(40, 5))), Config(steps=2, latent=2))
    >>> sorted(path.name for path in export(model, tempfile.mkdtemp()).values())
    ['decoder.onnx', 'encoder.onnx', 'score.onnx']
    """
    return write(exported(artifact), folder)


def write(found: Exported, folder: str | Path) -> dict[str, Path | None]:
    """Write graphs into a folder, as `export` does.

    Parameters
    ----------
    found : Exported
    folder : str or Path

    Returns
    -------
    dict of str to Path
        The graphs' files; None for a score that ONNX has no words for.

    Raises
    ------
    DataError
        If the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> place = tempfile.mkdtemp()
    >>> write(Exported({"encoder": b"", "decoder": b""}, {}), place)["score"] is None
    True
    """
    place = Path(folder)
    for name, data in found.graphs.items():
        with atomic_path(place / f"{name}.onnx") as beside:
            beside.write_bytes(data)
    if "score" not in found.graphs:
        (place / "score.onnx").unlink(missing_ok=True)
    with atomic_path(place / TEXT) as beside:
        beside.write_text(json.dumps(found.entry, indent=1, allow_nan=False), encoding="utf-8")
    return {name: place / f"{name}.onnx" if name in found.graphs else None for name in GRAPHS}
